import { type JobFailure } from "@genga/jobs";
import { Prisma, type Job as StoredJob } from "../generated/client.ts";

/**
 * The fields of a failure that `jobs` has as columns, all of them NULL for a job without a failure. The rest of a failure
 * is in its attempt and in its event.
 */
const columnOf = {
  class: { name: "failure_class", alias: "failureClass" },
  code: { name: "failure_code", alias: "failureCode" },
  message: { name: "failure_message", alias: "failureMessage" },
  nodeId: { name: "failure_node_id", alias: "failureNodeId" },
  nodeType: { name: "failure_node_type", alias: "failureNodeType" },
} as const satisfies Partial<Record<keyof JobFailure, { name: string; alias: keyof StoredJob }>>;

const columns = Object.entries(columnOf).map(([field, column]) => ({ field, ...column }));

/** Their names in the table. */
export const failureColumns: readonly string[] = columns.map(({ name }) => name);

/** The columns of a row's failure, from a table, alias or CTE named `job`. */
export const selectedFailure = Prisma.raw(
  columns.map(({ name, alias }) => `job.${name} AS "${alias}"`).join(", "),
);

/** Assigns the failure that the `jsonb` column `shown` has to the row; NULL clears it. */
export const takenFailure = Prisma.raw(
  columns
    .map(({ field, name }) => `${name} = (shown ->> '${field}')${field === "class" ? "::failure_class" : ""}`)
    .join(", "),
);

export function failureFromRow(
  row: Pick<StoredJob, (typeof columnOf)[keyof typeof columnOf]["alias"]>,
): JobFailure | null {
  const { failureClass, failureCode, failureMessage, failureNodeId, failureNodeType } = row;
  if (failureClass === null || failureCode === null || failureMessage === null) return null;
  return {
    class: failureClass,
    code: failureCode,
    message: failureMessage,
    ...(failureNodeId !== null && { nodeId: failureNodeId }),
    ...(failureNodeType !== null && { nodeType: failureNodeType }),
  };
}
