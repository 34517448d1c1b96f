import { z } from "zod";

export interface TestSummary {
  readonly passed: number;
  readonly failed: number;
  /** The acceptance tests of this run, in their order; none when the run was about other files. */
  readonly acceptance: readonly AcceptanceResult[];
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
      assertionResults: z.array(z.object({ title: z.string(), status: z.string() })),
    }),
  ),
});

/**
 * Counts passed and failed tests in Jest's JSON result. A test file that could not run counts as one failure, and so does
 * a run that was cut off, that left no result, or that Jest itself calls a failure for another reason.
 */
export function summarize(jestResult: string | undefined): TestSummary {
  if (jestResult === undefined) return { passed: 0, failed: 1, acceptance: [] };
  const result = jestResultSchema.parse(JSON.parse(jestResult));
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
  const isFailedAnyway = !result.success || result.wasInterrupted === true || result.numPassedTests === 0;
  return {
    passed: result.numPassedTests,
    failed: failed === 0 && isFailedAnyway ? 1 : failed,
    acceptance: result.testResults
      .filter(({ name }) => name.endsWith(acceptanceFile))
      .flatMap(({ assertionResults }) => assertionResults)
      .map(({ title, status }) => ({ name: title, status })),
  };
}

const acceptanceFile = "/acceptance/acceptance.test.ts";

/** The last lines of `npm test`: each acceptance test by name, and then the line with the two counts. */
export function linesOf({ passed, failed, acceptance }: TestSummary): string[] {
  const named = acceptance.map(({ name, status }) => `  ${status}  ${name}`);
  return [
    ...(named.length === 0 ? [] : ["acceptance tests:", ...named]),
    `${passed} passed, ${failed} failed`,
  ];
}
