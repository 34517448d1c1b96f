import { expect, test } from "@jest/globals";
import { readTraceparent, traceIdOf } from "./traceparent.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const good = `00-${traceId}-00f067aa0ba902b7-01`;

test("reads a traceparent, also one of a later version", () => {
  expect(readTraceparent(good)).toBe(good);
  expect(readTraceparent(`cc-${traceId}-00f067aa0ba902b7-01-more`)).toBe(good);
  expect(traceIdOf(good)).toBe(traceId);
  expect(traceIdOf(null)).toBeNull();
});

test.each([
  ["nothing", undefined],
  ["two headers", `${good}, ${good}`],
  ["an empty one", ""],
  ["one in capitals", good.toUpperCase()],
  ["the invalid version", `ff${good.slice(2)}`],
  ["more parts than version 00 has", `${good}-00`],
  ["a trace of zeros", `00-${"0".repeat(32)}-00f067aa0ba902b7-01`],
  ["a span of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
  ["SQL", `00-${traceId}-00f067aa0ba902b7-01'; DROP TABLE jobs; --`],
  ["a line break", `${good}\n`],
  ["a very long one", `cc-${traceId}-00f067aa0ba902b7-01-${"a".repeat(10_000)}`],
])("takes %s as none", (_name, header) => {
  expect(readTraceparent(header)).toBeNull();
});
