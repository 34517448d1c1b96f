import leven from "leven";

/** Longer names, and more of them, are not compared: one comparison takes as many steps as the product of the lengths. */
const comparedMax = { characters: 120, names: 2_000 } as const;

/** The choices, those first that differ least from what was given; letter case does not count. */
export function nearestFirst(given: string, choices: readonly unknown[]): unknown[] {
  if (given.length > comparedMax.characters) return [...choices];
  const wanted = given.toLowerCase();
  const distances = new Map(
    choices.slice(0, comparedMax.names).map((choice) => [choice, distanceOf(wanted, choice)] as const),
  );
  const distance = (choice: unknown): number => distances.get(choice) ?? Infinity;
  return choices.toSorted((one, other) =>
    distance(one) === distance(other) ? 0 : distance(one) - distance(other),
  );
}

function distanceOf(wanted: string, choice: unknown): number {
  if (typeof choice !== "string" || choice.length > comparedMax.characters) return Infinity;
  return leven(wanted, choice.toLowerCase());
}
