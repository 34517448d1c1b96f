import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { placeDependencies, type NamedDependencies, type PlacedJob } from "./place-dependencies.ts";

function placesOf(jobs: NamedDependencies[]): PlacedJob[] {
  const placed = placeDependencies(jobs);
  if ("problems" in placed) throw new Error(placed.problems.map(({ problem }) => problem.message).join(" "));
  return placed.places;
}

function problemsOf(jobs: NamedDependencies[]): string[] {
  const placed = placeDependencies(jobs);
  return "problems" in placed ? placed.problems.map(({ index, problem }) => `${index} ${problem.code}`) : [];
}

describe("Dependencies of a submission", () => {
  test("name jobs by their keys or ids, and each job counts once", () => {
    const existing = "0190A5C2-0000-7000-8000-000000000001";
    const [first, second] = placesOf([
      { key: "a" },
      { dependsOn: ["a", "a", existing, existing.toLowerCase()] },
    ]);
    expect(second?.dependsOn).toEqual([first?.id, existing.toLowerCase()]);
  });

  test("may name later jobs, and every id is greater than those that it needs", () => {
    const links = fc.array(fc.array(fc.nat(30), { maxLength: 4 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(links, fc.infiniteStream(fc.nat()), (given, places) => {
        // A random order of the jobs, in which each needs only jobs that come before it in another order.
        const shuffled = given.map((_, index) => index);
        for (const index of shuffled) {
          const other = (places.next().value as number) % shuffled.length;
          [shuffled[index], shuffled[other]] = [shuffled[other] ?? 0, shuffled[index] ?? 0];
        }
        const jobs = shuffled.map((own) => ({
          key: `k${own}`,
          dependsOn: (given[own] ?? []).filter((needed) => needed < own).map((needed) => `k${needed}`),
        }));
        for (const { id, dependsOn } of placesOf(jobs))
          for (const needed of dependsOn) expect(id > needed).toBe(true);
      }),
    );
  });

  test("keep the order of the jobs where no job names a later one", () => {
    const ids = placesOf(
      Array.from({ length: 500 }, (_, index) => ({
        key: `k${index}`,
        dependsOn: index === 0 ? [] : [`k${index - 1}`],
      })),
    ).map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted());
  });

  test("on a job that a process with a fast clock accepted get an id after that one", () => {
    const future = "ffff0000-0000-7000-8000-000000000001";
    expect(placesOf([{ dependsOn: [future] }])[0]?.id.localeCompare(future)).toBe(1);
  });

  test("are refused by index: unknown and repeated keys, itself, and every job of a cycle", () => {
    expect(problemsOf([{ dependsOn: ["nobody"] }])).toEqual(["0 unknown-job"]);
    expect(problemsOf([{ key: "a" }, { key: "a" }])).toEqual(["1 duplicate-key"]);
    expect(problemsOf([{ key: "a", dependsOn: ["a"] }])).toEqual(["0 dependency-cycle"]);
    const knot = [
      { key: "before" },
      { key: "a", dependsOn: ["c", "before"] },
      { key: "b", dependsOn: ["a"] },
      { key: "c", dependsOn: ["b"] },
      { key: "after", dependsOn: ["c"] },
    ];
    expect(problemsOf(knot)).toEqual(["1 dependency-cycle", "2 dependency-cycle", "3 dependency-cycle"]);
  });

  test("of ten thousand jobs that come after a cycle are judged in one go", () => {
    const jobs = Array.from({ length: 10_000 }, (_, index) => ({
      key: `k${index}`,
      dependsOn: index === 0 ? ["k1"] : [1, 2, 3].flatMap((back) => (back > index ? [] : `k${index - back}`)),
    }));
    const begin = performance.now();
    expect(problemsOf(jobs)).toEqual(["0 dependency-cycle", "1 dependency-cycle"]);
    // Many times what it takes; while each job looked at all others, it took five times as long as this.
    expect(performance.now() - begin).toBeLessThan(3_000);
  });

  test("of ten thousand jobs in one chain are placed without recursion", () => {
    const chain = Array.from({ length: 10_000 }, (_, index) => ({
      key: `k${index}`,
      dependsOn: index === 9_999 ? [] : [`k${index + 1}`],
    }));
    const places = placesOf(chain);
    expect(places[0]!.id > places[9_999]!.id).toBe(true);
  });
});
