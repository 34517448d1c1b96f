import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { RequestLine, type PlaceOrUse } from "./request-line.ts";

/** Places that one tenant has; nothing is known of their ends but what is told. */
function placesOf(line: RequestLine): { take: () => Promise<PlaceOrUse>; free: () => void; tries: number } {
  let used = 1;
  const places = {
    tries: 0,
    take: async (): Promise<PlaceOrUse> => {
      places.tries += 1;
      await Promise.resolve();
      if (used >= 1) return { used };
      used += 1;
      return { release: places.free };
    },
    free: () => {
      used -= 1;
      line.noteFree("studio");
    },
  };
  return places;
}

// So only what is told counts, and no time that passes.
beforeEach(() => void jest.useFakeTimers({ doNotFake: ["setImmediate"] }));
afterEach(() => void jest.useRealTimers());

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("gives a place that becomes free to the first that waits, and forgets who leaves", async () => {
  const line = new RequestLine();
  const places = placesOf(line);
  const heard: string[] = [];
  const leaving = new AbortController();
  const wait = async (name: string, signal = new AbortController().signal): Promise<void> => {
    const place = await line.wait("studio", places.take, { used: 1, ms: 30_000, leaving: signal });
    heard.push("release" in place ? name : `${name}: ${place.used} in use`);
  };
  const all = [wait("first"), wait("second", leaving.signal), wait("third"), wait("fourth")];
  await settle();
  expect([line.isEmpty("studio"), line.isEmpty("other")]).toEqual([false, true]);
  leaving.abort();
  await settle();
  for (const expected of ["first", "third", "fourth"]) {
    places.free();
    await settle();
    expect(heard.at(-1)).toBe(expected);
  }
  await Promise.all(all);
  expect(heard).toEqual(["second: 1 in use", "first", "third", "fourth"]);
  expect(line.isEmpty("studio")).toBe(true);
});

test("tries again when a place becomes free while it tries, and looks now and then by itself", async () => {
  const line = new RequestLine();
  const places = placesOf(line);
  const waiting = line.wait("studio", places.take, {
    used: 1,
    ms: 30_000,
    leaving: new AbortController().signal,
  });
  // The answer that there is no place is on its way.
  places.free();
  expect(await waiting).toHaveProperty("release");
  const timed = line.wait("studio", places.take, {
    used: 1,
    ms: 30_000,
    leaving: new AbortController().signal,
  });
  for (const until = performance.now() + 31_000; performance.now() < until;) {
    await settle();
    jest.advanceTimersByTime(500);
  }
  expect(await timed).toEqual({ used: 1 });
  expect(places.tries).toBeGreaterThan(50);
});
