import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { forPeople, ServiceLog } from "./service-log.ts";

test.each([
  ['{"level":"info","msg":"ready"}', undefined],
  ['{"level":"warn","msg":"slow"}', "warn: slow"],
  ['{"level":"error","msg":"failed","err":{"message":"no route"}}', "error: failed: no route"],
  ['{"level":"error","msg":"no route","err":{"message":"no route"}}', "error: no route"],
  ['{"level":"error","msg":"failed","err":{"message":"no\\n\\nroute"}}', "error: failed: no route"],
  [`{"level":"error","msg":"${"x".repeat(500)}"}`, `error: ${"x".repeat(233)}…`],
  ["PORT is wrong", "PORT is wrong"],
  ["{broken", "{broken"],
  ["", undefined],
])("shows people %j as %j", (line, expected) => {
  expect(forPeople(line)).toBe(expected);
});

test("a service's log keeps every line in its file", () => {
  const folder = mkdtempSync(join(tmpdir(), "genga-log-"));
  try {
    const reported: string[] = [];
    const log = new ServiceLog(join(folder, "logs"), "api", (line) => reported.push(line));
    log.add('{"level":"info","msg":"ready"}');
    log.add('{"level":"warn","msg":"slow"}');
    log.add('{"level":"warn","msg":"slow"}'); // the same trouble, a moment later
    expect(readFileSync(log.path, "utf8").trimEnd().split("\n")).toHaveLength(3);
    expect(reported).toEqual(["api: warn: slow"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
