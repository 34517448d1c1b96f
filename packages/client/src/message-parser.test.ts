import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { MessageParser, type Message } from "./message-parser.ts";

const stream = [
  "\uFEFFretry: 250\n\n",
  ": a comment\n",
  "event: snapshot\r\nid: 1\r\ndata: {\r\ndata:  }\r\n\r\n",
  "data\rdata:x\r\r",
  ": alive\nid: 2.花\n\n",
  "event: progress\ndata: 1\n\n",
  "event: nothing\n\n",
  "id: bad\0id\ndata: 2\n\n",
  "id: 3\ndata: never com",
].join("");

const expected: Message[] = [
  { name: "snapshot", data: "{\n }", lastId: "1" },
  { name: "message", data: "\nx", lastId: "1" },
  { name: "progress", data: "1", lastId: "2.花" },
  { name: "message", data: "2", lastId: "2.花" },
];

describe("the parser of server-sent events", () => {
  test("reads the same messages however the text is cut into pieces", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
        const parser = new MessageParser(undefined);
        const places = [0, ...cuts.toSorted((one, other) => one - other), stream.length];
        const messages = places
          .slice(1)
          .flatMap((place, index) => parser.read(stream.slice(places[index], place)));
        expect(messages).toEqual(expected);
        expect(parser.retryMs).toBe(250);
        // The id of the message that was cut off does not count.
        expect(parser.lastId).toBe("2.花");
      }),
      { numRuns: 200 },
    );
  });

  test("takes an id without data as the place to resume from", () => {
    const parser = new MessageParser("1");
    expect(parser.read(": alive\nid: 9\n\n")).toEqual([]);
    expect(parser.lastId).toBe("9");
  });

  test("does not let a message grow without end", () => {
    const parser = new MessageParser(undefined);
    const mebibyte = "x".repeat(1024 * 1024);
    const grow = (): void => {
      for (let count = 0; count < 20; count += 1) parser.read(`data: ${mebibyte}\n`);
    };
    expect(grow).toThrow(/more than 16777216 characters/);
    const oneLine = new MessageParser(undefined);
    const growLine = (): void => {
      for (let count = 0; count < 20; count += 1) oneLine.read(mebibyte);
    };
    expect(growLine).toThrow(/more than 16777216 characters/);
  });
});
