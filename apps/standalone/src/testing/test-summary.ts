import { z } from "zod";

export interface TestSummary {
  readonly passed: number;
  readonly failed: number;
}

const jestResultSchema = z.object({
  success: z.boolean(),
  wasInterrupted: z.boolean().optional(),
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numRuntimeErrorTestSuites: z.number(),
});

/**
 * Counts passed and failed tests in Jest's JSON result. A test file that could not run counts as one failure, and so does
 * a run that was cut off, that left no result, or that Jest itself calls a failure for another reason.
 */
export function summarize(jestResult: string | undefined): TestSummary {
  if (jestResult === undefined) return { passed: 0, failed: 1 };
  const result = jestResultSchema.parse(JSON.parse(jestResult));
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
  const isFailedAnyway = !result.success || result.wasInterrupted === true || result.numPassedTests === 0;
  return { passed: result.numPassedTests, failed: failed === 0 && isFailedAnyway ? 1 : failed };
}
