import { describe, expect, test } from "@jest/globals";

import { EventBuffer } from "./event-buffer.ts";

async function drain(buffer: EventBuffer<string>): Promise<string[]> {
  const events: string[] = [];
  for await (const event of buffer.read(undefined)) events.push(event);
  return events;
}

describe("an event buffer", () => {
  test("keeps order, and of one key only the newest, in its new place", async () => {
    const buffer = new EventBuffer<string>(10);
    buffer.push("progress 1", "progress");
    buffer.push("executing a");
    buffer.push("progress 2", "progress");
    buffer.push("executing b");
    buffer.end();
    await expect(drain(buffer)).resolves.toEqual(["executing a", "progress 2", "executing b"]);
  });

  test("never holds more than its bound, and drops the oldest", async () => {
    const buffer = new EventBuffer<string>(2);
    for (const event of ["a", "b", "c", "d"]) buffer.push(event);
    buffer.end();
    await expect(drain(buffer)).resolves.toEqual(["c", "d"]);
  });

  test("gives what is left before an error, and takes nothing after the end", async () => {
    const buffer = new EventBuffer<string>(10);
    buffer.push("a");
    buffer.end(new Error("lost"));
    buffer.push("b");
    const reader = buffer.read(undefined);
    await expect(reader.next()).resolves.toEqual({ done: false, value: "a" });
    await expect(reader.next()).rejects.toThrow("lost");
  });

  test("wakes a waiting reader for an event, the end and an abort", async () => {
    const buffer = new EventBuffer<string>(10);
    const stopping = new AbortController();
    const reader = buffer.read(stopping.signal);
    const first = reader.next();
    buffer.push("a");
    await expect(first).resolves.toEqual({ done: false, value: "a" });
    const second = reader.next();
    stopping.abort(new Error("stop"));
    await expect(second).rejects.toThrow("stop");
  });
});
