import { expect, test } from "@jest/globals";
import { createLogger } from "@genga/runtime";
import { Counter, Registry } from "prom-client";

import { UncheckedInputs } from "./unchecked-inputs.ts";

test("inputs that only a server can check are counted, and logged once for each class", async () => {
  const counter = new Counter({ name: "notes_total", help: "Notes.", registers: [new Registry()] });
  const lines: unknown[] = [];
  const log = createLogger({ name: "test", level: "info" });
  log.warn = (fields: unknown) => lines.push(fields);
  const unchecked = new UncheckedInputs({ counter, log });
  const note = (classType: string) => ({
    nodeId: "1",
    classType,
    input: "x",
    message: "Node 1: not checked.",
  });
  unchecked.note([note("Odd"), note("Odd"), note("Other")]);
  unchecked.note([note("Odd")]);
  expect((await counter.get()).values[0]?.value).toBe(4);
  expect(lines).toMatchObject([{ classType: "Odd" }, { classType: "Other" }]);
});
