import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { pauseAfter } from "./backoff.ts";

const hourMs = 60 * 60_000;
const rules = { firstMs: 5_000, forMs: 24 * hourMs };

/** When the attempts come, in milliseconds since the first one, if each fails at once. */
function attemptsWith(random: number): number[] {
  const times = [0];
  for (;;) {
    const pause = pauseAfter(times.length, times.at(-1)!, rules, { random });
    if (pause === null) return times;
    times.push(times.at(-1)! + pause);
  }
}

test("attempts are repeated over 24 hours, ever less often, the last one at their end", () => {
  const times = attemptsWith(0.5);
  expect(times.slice(0, 4)).toEqual([0, 5_000, 20_000, 65_000]);
  expect(times.at(-1)).toBe(24 * hourMs);
  expect(times.length).toBeGreaterThan(10);
  expect(times.length).toBeLessThan(20);
  const pauses = times.slice(1).map((time, index) => time - times[index]!);
  expect(Math.max(...pauses)).toBe(4 * hourMs);
});

test("what failed together does not come again together", () => {
  expect(attemptsWith(0)[1]).toBe(3_750);
  expect(attemptsWith(1)[1]).toBe(6_250);
});

test("a pause that the receiver asked for is kept, within the time", () => {
  expect(pauseAfter(1, 0, rules, { leastMs: 60_000 })).toBe(60_000);
  expect(pauseAfter(1, 23 * hourMs, rules, { leastMs: 9 * hourMs })).toBe(hourMs);
  expect(pauseAfter(1, 0, { firstMs: 5_000, forMs: 0 })).toBeNull();
});

test("pauses always end within the time, whatever the figures", () => {
  const figures = fc.tuple(
    fc.integer({ min: 1, max: 1_000 }),
    fc.nat(),
    fc.nat({ max: 1e9 }),
    fc.nat({ max: 1e9 }),
  );
  fc.assert(
    fc.property(
      figures,
      fc.double({ min: 0, max: 1, noNaN: true }),
      ([attempt, ageMs, firstMs, forMs], random) => {
        const pause = pauseAfter(attempt, ageMs, { firstMs, forMs }, { random });
        if (pause === null) return ageMs >= forMs;
        return pause >= 0 && ageMs + pause <= forMs;
      },
    ),
  );
});
