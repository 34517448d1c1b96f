import { type AttemptResult, type PassedOn } from "@genga/jobs";
import { type PlainStatements } from "../../connection/plain-statements.ts";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { passOnCompleted, passOnNow } from "../dependencies/pass-on-ends.ts";
import { type JobWithEventRow } from "../job-rows.ts";
import { endLeases, type EndedRows, type LeaseEnd, statementName } from "./end-statement.ts";

const withDependents: EndedRows = { condition: Prisma.sql`job.has_dependents`, locked: "skip" };

/**
 * Completes jobs that other jobs need, several in one transaction, and releases what waited for them. What another
 * transaction has locked meanwhile is passed over, so that this one waits for nobody while it holds rows: a completed job
 * is then left to the caller, and the dependents are released afterwards.
 * @param ends completions only
 * @returns what was completed, and what that released
 */
export async function completeNeededJobs(
  { database, prepared }: { database: PrismaClient; prepared: PlainStatements },
  ends: readonly LeaseEnd[],
): Promise<{ rows: JobWithEventRow[]; passedOn: PassedOn }> {
  const { rows, released, left } = await repeatConflicts(() =>
    prepared.transaction(async (transaction) => {
      const ended = await transaction.$queryPrepared<JobWithEventRow[]>(
        statementName("end-needed-jobs", ends),
        endLeases(ends, withDependents),
      );
      const completed = ended.filter(({ status }) => status === "completed").map(({ id }) => id);
      return { rows: ended, ...(await passOnCompleted(transaction, completed)) };
    }),
  );
  const later = left.length > 0 ? await passOnNow(database, left) : { released: [], failed: [] };
  return { rows, passedOn: { released: [...released, ...later.released], failed: later.failed } };
}

/** The result of each end; the first one that was recorded has what was passed on. */
export function withPassedOn(
  results: readonly (Extract<AttemptResult, { held: true }> | null)[],
  passedOn: PassedOn,
): (AttemptResult | null)[] {
  const first = results.findIndex((result) => result !== null);
  return results.map((result, index) =>
    result !== null && index === first ? { ...result, passedOn } : result,
  );
}
