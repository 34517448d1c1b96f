import { expect, test } from "@jest/globals";
import { adviceOn } from "./failure-advice.ts";
import { textOfEvent } from "./event-text.ts";
import { readJobSearch } from "./job-search.ts";

test("an event says who did it, and why", () => {
  expect(textOfEvent({ type: "cancel_requested", data: { by: "ci" } })).toBe("Cancel requested: by ci");
  expect(textOfEvent({ type: "requeued", data: { code: "server-lost", delayMs: 3 } })).toBe(
    "Back in the queue: server-lost",
  );
  expect(textOfEvent({ type: "priority_changed", data: { from: "low", to: "high" } })).toBe(
    "Priority changed: low to high",
  );
  expect(textOfEvent({ type: "constructor" as never, data: {} })).toBe("constructor");
});

test("a code that this page does not know is explained by its class", () => {
  expect(adviceOn({ code: "poison", class: "server" }).meaning).toContain("three times");
  expect(adviceOn({ code: "of-tomorrow", class: "deadline" }).meaning).toBe("A time limit passed.");
  expect(adviceOn({ code: "constructor", class: "__proto__" }).meaning).toBe("The job failed.");
});

test("what an address says wrongly is left out", () => {
  const output = "01a213f1-03aa-7b11-8f8e-0d8d4f1d9e10";
  expect(readJobSearch({ nodes: "list", output, rerun: true, x: 1 })).toEqual({
    nodes: "list",
    output,
    rerun: true,
  });
  expect(readJobSearch({ nodes: "x", output: "<script>", rerun: "yes" })).toEqual({});
});
