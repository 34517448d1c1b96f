import { Prisma } from "../generated/client.ts";
import { progressColumns } from "./progress-columns.ts";

// What a job forgets when it changes, as assignments of an UPDATE of `jobs`. Each list stands here only.

const failureColumns = [
  "failure_class",
  "failure_code",
  "failure_message",
  "failure_node_id",
  "failure_node_type",
];
const serverColumns = ["server_id", "client_id", "prompt_id"];

/** The reason why it failed, or why it came back to the queue. */
export const clearedFailure = cleared(failureColumns);

/** Where its last attempt ran. */
export const clearedServer = cleared(serverColumns);

/** How far its last attempt came. */
export const clearedProgress = Prisma.sql`percent = 0, ${cleared(progressColumns)}`;

/** Where it ran and how far it came are forgotten by the rows for which the condition holds. */
export function clearedRunWhere(condition: Prisma.Sql): Prisma.Sql {
  return cleared([...serverColumns, ...progressColumns], condition);
}

/** A queued job ends before it was claimed: what belongs to waiting is forgotten. */
export const endedWaiting = Prisma.sql`phase = NULL, finished_at = now(), run_at = NULL, avoid_server_id = NULL`;

/** @param columns names of this file and of `progress-columns.ts` only, since they become part of the statement */
function cleared(columns: readonly string[], condition?: Prisma.Sql): Prisma.Sql {
  const assignments = columns.map((column) => {
    const name = Prisma.raw(column);
    return condition === undefined
      ? Prisma.sql`${name} = NULL`
      : Prisma.sql`${name} = CASE WHEN ${condition} THEN NULL ELSE ${name} END`;
  });
  return Prisma.join(assignments, ", ");
}
