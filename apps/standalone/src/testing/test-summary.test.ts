import { describe, expect, test } from "@jest/globals";
import { filesForSecondRun, linesOf, parseJestResult, summarize, summarizeBoth } from "./test-summary.ts";

const result = (fields: Record<string, unknown>): NonNullable<ReturnType<typeof parseJestResult>> => {
  const parsed = parseJestResult(
    JSON.stringify({
      success: true,
      wasInterrupted: false,
      numPassedTests: 5,
      numFailedTests: 0,
      numRuntimeErrorTestSuites: 0,
      testResults: [],
      ...fields,
    }),
  );
  if (parsed === undefined) throw new Error("there is a result");
  return parsed;
};

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
  ["there is no result", parseJestResult(undefined), { passed: 0, failed: 1 }],
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

test("says what this machine lacks for tests that were skipped, and nothing of tests that were not chosen", () => {
  const skipped = (title: string, ...ancestorTitles: string[]): object => ({
    ...{ title, ancestorTitles },
    status: "pending",
  });
  const manifests = "the manifests (skipped: PyPI's kubectl cannot be installed: (no route))";
  const testResults = [
    {
      name: "/genga/some.test.ts",
      assertionResults: [
        skipped("fit the schemas", manifests),
        skipped("name nothing that does not exist", manifests),
        skipped("each alert fires (skipped: no promtool)", "Prometheus"),
        skipped("was not chosen"),
        { title: "passes (skipped: nothing)", status: "passed" },
      ],
    },
  ];
  expect(linesOf(summarize(result({ testResults })))).toEqual([
    "SKIPPED 2 tests: PyPI's kubectl cannot be installed: (no route)",
    "SKIPPED 1 test: no promtool",
    "5 passed, 0 failed",
  ]);
});

test("says the line of the two counts alone when no acceptance test was in the run", () => {
  expect(linesOf(summarize(result({})))).toEqual(["5 passed, 0 failed"]);
});

describe("a whole run of which one file failed", () => {
  const file = (name: string, ...statuses: string[]): object => ({
    name,
    status: statuses.every((status) => status === "passed") ? "passed" : "failed",
    assertionResults: statuses.map((status) => ({ title: "a test", status })),
  });
  const first = result({
    success: false,
    numPassedTests: 3,
    numFailedTests: 1,
    testResults: [file("/a", "passed", "passed"), file("/b", "passed", "failed")],
  });

  test("runs it once more, and is green but tells of it if it passes alone", () => {
    expect(filesForSecondRun(first, () => true)).toEqual(["/b"]);
    const second = result({ numPassedTests: 2, testResults: [file("/b", "passed", "passed")] });
    const summary = summarizeBoth(first, second);
    expect(summary).toMatchObject({ passed: 4, failed: 0, unsteady: ["/b"] });
    expect(linesOf(summary)).toEqual([expect.stringMatching(/^UNSTEADY.*: \/b$/), "4 passed, 0 failed"]);
  });

  test("stays red if it fails again, cannot run any more, or leaves no result", () => {
    const again = { success: false, numPassedTests: 1, numFailedTests: 1 };
    const failing = result({ ...again, testResults: [file("/b", "passed", "failed")] });
    expect(summarizeBoth(first, failing)).toMatchObject({ passed: 3, failed: 1, unsteady: [] });
    const broken = { success: false, numPassedTests: 0, numRuntimeErrorTestSuites: 1 };
    const unrunnable = result({ ...broken, testResults: [{ ...file("/b"), status: "failed" }] });
    expect(summarizeBoth(first, unrunnable)).toMatchObject({ passed: 2, failed: 1, unsteady: [] });
    expect(summarizeBoth(first, undefined)).toMatchObject({ passed: 3, failed: 1 });
  });

  test("runs nothing again when more than three files failed, when their values are drawn, or when it was stopped", () => {
    const many = ["/a", "/b", "/c", "/d"].map((name) => file(name, "failed"));
    expect(filesForSecondRun(result({ testResults: many }), () => true)).toEqual([]);
    expect(filesForSecondRun({ ...first, wasInterrupted: true }, () => true)).toEqual([]);
    expect(filesForSecondRun(undefined, () => true)).toEqual([]);
    expect(filesForSecondRun(first, () => false)).toEqual([]);
    expect(filesForSecondRun(result({}), () => true)).toEqual([]);
  });
});
