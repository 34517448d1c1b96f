import { expect, test } from "@jest/globals";
import { summarize } from "./test-summary.ts";

const result = (fields: Record<string, unknown>): string =>
  JSON.stringify({
    success: true,
    wasInterrupted: false,
    numPassedTests: 5,
    numFailedTests: 0,
    numRuntimeErrorTestSuites: 0,
    ...fields,
  });

test.each([
  ["all passed", result({}), { passed: 5, failed: 0 }],
  ["some failed", result({ success: false, numFailedTests: 2 }), { passed: 5, failed: 2 }],
  [
    "a file could not run",
    result({ success: false, numRuntimeErrorTestSuites: 1 }),
    { passed: 5, failed: 1 },
  ],
  ["no test ran", result({ numPassedTests: 0 }), { passed: 0, failed: 1 }],
  ["the run was cut off", result({ wasInterrupted: true }), { passed: 5, failed: 1 }],
  ["there is no result", undefined, { passed: 0, failed: 1 }],
])("counts when %s", (_case, jestResult, expected) => {
  expect(summarize(jestResult)).toEqual(expected);
});
