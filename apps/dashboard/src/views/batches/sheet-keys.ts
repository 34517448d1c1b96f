export type Mark = "pick" | "reject" | null;

/** The same mark again takes it away. */
export function markAfter(before: Mark, pressed: "pick" | "reject"): Mark {
  return before === pressed ? null : pressed;
}

/** Where a key leads on a grid that is filled row by row; undefined = the key means nothing here. */
export function movedBy(
  key: string,
  { place, columns, count }: { place: number; columns: number; count: number },
): number | undefined {
  const moves: Readonly<Record<string, number>> = {
    ArrowLeft: place - 1,
    ArrowRight: place + 1,
    ArrowUp: place - columns,
    ArrowDown: place + columns,
    Home: 0,
    End: count - 1,
  };
  const next = Object.hasOwn(moves, key) ? moves[key] : undefined;
  if (next === undefined) return undefined;
  // From above a last row that is not full, down leads to its end.
  if (key === "ArrowDown" && next >= count && Math.floor(place / columns) < Math.floor((count - 1) / columns))
    return count - 1;
  return next < 0 || next >= count ? place : next;
}
