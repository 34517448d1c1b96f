import { Prisma } from "../generated/client.ts";
import { failureColumns } from "./failure-columns.ts";
import { progressColumns } from "./progress-columns.ts";

// The columns that a change of a job clears, as assignments of an UPDATE of `jobs`. No other file has such a list.

const serverColumns = ["server_id", "client_id", "prompt_id"];

/** Clears why the job failed, or why it was requeued. */
export const clearedFailure = cleared(failureColumns);

/** Clears where the last attempt ran. */
export const clearedServer = cleared(serverColumns);

/** Clears how far the last attempt came. */
export const clearedProgress = Prisma.sql`percent = 0, ${cleared(progressColumns)}`;

/** Clears where the attempt ran and how far it came, in the rows for which the condition holds. */
export function clearedRunWhere(condition: Prisma.Sql): Prisma.Sql {
  return cleared([...serverColumns, ...progressColumns], condition);
}

/** For queued jobs that end without a claim: clears the columns that only waiting jobs use. */
export const endedWaiting = Prisma.sql`phase = NULL, finished_at = now(), run_at = NULL, paused_at = NULL, avoid_server_id = NULL,
  take_back_for = NULL`;

/** Clears what was asked of the attempt's prompt (`taking-back`). */
export const clearedTakeBack = Prisma.sql`take_back_for = NULL, take_back_asked_at = NULL, take_back_begun = false`;

/**
 * @param columns only names from this file, `failure-columns.ts` and `progress-columns.ts`, since they become part of the
 * statement's text
 */
function cleared(columns: readonly string[], condition?: Prisma.Sql): Prisma.Sql {
  const assignments = columns.map((column) => {
    const name = Prisma.raw(column);
    return condition === undefined
      ? Prisma.sql`${name} = NULL`
      : Prisma.sql`${name} = CASE WHEN ${condition} THEN NULL ELSE ${name} END`;
  });
  return Prisma.join(assignments, ", ");
}
