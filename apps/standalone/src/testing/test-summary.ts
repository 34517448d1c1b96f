import { z } from "zod";

export interface TestSummary {
  readonly passed: number;
  readonly failed: number;
  /** The acceptance tests of this run, in their order; none when the run was about other files. */
  readonly acceptance: readonly AcceptanceResult[];
  /** Files with a test that failed beside the others and passed in a second run, alone. */
  readonly unsteady: readonly string[];
  /** Why tests were skipped because this machine lacks something, with their number. */
  readonly skipped: ReadonlyMap<string, number>;
}

interface AcceptanceResult {
  readonly name: string;
  /** As Jest says it: `passed`, `failed`, `pending` when it was not chosen, … */
  readonly status: string;
}

const jestResultSchema = z.object({
  success: z.boolean(),
  wasInterrupted: z.boolean().optional(),
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numRuntimeErrorTestSuites: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string().optional(),
      assertionResults: z.array(
        z.object({
          title: z.string(),
          status: z.string(),
          ancestorTitles: z.array(z.string()).default([]),
        }),
      ),
    }),
  ),
});

export type JestResult = z.infer<typeof jestResultSchema>;

/** @param json as Jest writes it; `undefined` = it left none */
export function parseJestResult(json: string | undefined): JestResult | undefined {
  return json === undefined ? undefined : jestResultSchema.parse(JSON.parse(json));
}

/**
 * Counts passed and failed tests in Jest's result. A test file that could not run counts as one failure, and so does
 * a run that was cut off, that left no result, or that Jest itself calls a failure for another reason.
 */
export function summarize(result: JestResult | undefined): TestSummary {
  if (result === undefined) return { passed: 0, failed: 1, acceptance: [], unsteady: [], skipped: new Map() };
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
  const isFailedAnyway = !result.success || result.wasInterrupted === true || result.numPassedTests === 0;
  return {
    passed: result.numPassedTests,
    failed: failed === 0 && isFailedAnyway ? 1 : failed,
    acceptance: result.testResults
      .filter(({ name }) => name.endsWith(acceptanceFile))
      .flatMap(({ assertionResults }) => assertionResults)
      .map(({ title, status }) => ({ name: title, status })),
    unsteady: [],
    skipped: countSkipped(result),
  };
}

/** By the reasons that the names of skipped tests, or of groups of them, end with. */
function countSkipped({ testResults }: JestResult): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { title, ancestorTitles, status } of testResults.flatMap((file) => file.assertionResults)) {
    if (status !== "pending") continue;
    const reasons = [...ancestorTitles, title].flatMap((name) => /\(skipped: (.*)\)$/.exec(name)?.[1] ?? []);
    const [reason] = reasons;
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return counts;
}

/** More files than these do not fail for a machine that was slow for a moment. */
const secondRunFiles = 3;

/**
 * @returns the files that a whole run is to run once more, alone, to tell a test that disturbs or is disturbed from one
 *   that fails; none if nothing failed, too much, or a test that is not the same the second time
 * @param isSteady whether a file's tests do the same each time
 */
export function filesForSecondRun(
  result: JestResult | undefined,
  isSteady: (file: string) => boolean,
): string[] {
  if (result === undefined || result.wasInterrupted === true) return [];
  const failed = result.testResults.filter(({ status }) => status === "failed").map(({ name }) => name);
  return failed.length > secondRunFiles || !failed.every(isSteady) ? [] : failed;
}

/** Counts a whole run of which some files ran a second time: what these files came to the second time is what counts. */
export function summarizeBoth(first: JestResult, second: JestResult | undefined): TestSummary {
  if (second === undefined) return summarize(first);
  const again = new Map(second.testResults.map((file) => [file.name, file]));
  const testResults = first.testResults.map((file) => again.get(file.name) ?? file);
  const statuses = testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ status }) => status),
  );
  const together = {
    ...second,
    numPassedTests: statuses.filter((status) => status === "passed").length,
    numFailedTests: statuses.filter((status) => status === "failed").length,
    testResults,
  };
  const unsteady = second.testResults.filter(({ status }) => status === "passed").map(({ name }) => name);
  return { ...summarize(together), unsteady };
}

const acceptanceFile = "/acceptance/acceptance.test.ts";

/** The last lines of `npm test`: what was not tested, unsteady files, each acceptance test by name, and then the line with the two counts. */
export function linesOf({ passed, failed, acceptance, unsteady, skipped }: TestSummary): string[] {
  const named = acceptance.map(({ name, status }) => `  ${status}  ${name}`);
  return [
    ...[...skipped].map(([reason, count]) => `SKIPPED ${count} ${count === 1 ? "test" : "tests"}: ${reason}`),
    ...unsteady.map((name) => `UNSTEADY, a fault to mend: failed beside the others, passed alone: ${name}`),
    ...(named.length === 0 ? [] : ["acceptance tests:", ...named]),
    `${passed} passed, ${failed} failed`,
  ];
}
