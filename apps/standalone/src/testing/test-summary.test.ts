import { expect, test } from "@jest/globals";
import { linesOf, summarize } from "./test-summary.ts";

const result = (fields: Record<string, unknown>): string =>
  JSON.stringify({
    success: true,
    wasInterrupted: false,
    numPassedTests: 5,
    numFailedTests: 0,
    numRuntimeErrorTestSuites: 0,
    testResults: [],
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
  expect(summarize(jestResult)).toMatchObject(expected);
});

test("names the acceptance tests before the line of the two counts, which is last", () => {
  const file = (name: string, ...titles: string[]): object => ({
    name: `/genga/${name}`,
    assertionResults: titles.map((title, index) => ({ title, status: index === 0 ? "passed" : "failed" })),
  });
  const testResults = [
    file("packages/jobs/src/job/job-states.test.ts", "knows its states"),
    file("apps/standalone/test/acceptance/acceptance.test.ts", "Job Submission: works", "Stress Test: fails"),
  ];
  expect(linesOf(summarize(result({ success: false, numFailedTests: 1, testResults })))).toEqual([
    "acceptance tests:",
    "  passed  Job Submission: works",
    "  failed  Stress Test: fails",
    "5 passed, 1 failed",
  ]);
});

test("says the line of the two counts alone when no acceptance test was in the run", () => {
  expect(linesOf(summarize(result({})))).toEqual(["5 passed, 0 failed"]);
});
