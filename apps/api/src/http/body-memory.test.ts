import { expect, test } from "@jest/globals";
import { BodyMemory, type NoBodyRoom } from "./body-memory.ts";

const given = (room: (() => void) | NoBodyRoom): (() => void) => {
  if (typeof room !== "function") throw new Error("There was no room.");
  return room;
};

test("one tenant gets half of the memory, all together get the whole", async () => {
  const memory = new BodyMemory({ bytesMax: 100, patienceMs: 0 });
  const release = given(await memory.reserve("studio", 30));
  expect(await memory.reserve("studio", 30)).toEqual({ lacks: "tenant-share", max: 50, used: 30 });
  given(await memory.reserve("rival", 50));
  expect(await memory.reserve("third", 30)).toEqual({ lacks: "process", max: 100, used: 80 });
  release();
  given(await memory.reserve("third", 30));
});

test("a body waits for room and takes it once other bodies release it", async () => {
  const memory = new BodyMemory({ bytesMax: 100, patienceMs: 10_000 });
  const release = given(await memory.reserve("studio", 50));
  const waiting = memory.reserve("studio", 20);
  release();
  given(await waiting);
});

test("a body that found no room in time is refused with the bytes in use", async () => {
  const memory = new BodyMemory({ bytesMax: 100, patienceMs: 20 });
  given(await memory.reserve("studio", 50));
  expect(await memory.reserve("studio", 1)).toEqual({ lacks: "tenant-share", max: 50, used: 50 });
});
