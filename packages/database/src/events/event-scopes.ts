import { type EventScope } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { Prisma } from "../generated/client.ts";

/** Whether a row with `tenant_id` and `batch_id` belongs to the scope. An id that is no UUID names nothing. */
export function inScope(scope: EventScope, row: Prisma.Sql): Prisma.Sql {
  const [column, id] =
    "batchId" in scope ? [Prisma.sql`batch_id`, scope.batchId] : [Prisma.sql`tenant_id`, scope.tenantId];
  return isUuid(id) ? Prisma.sql`${row}.${column} = ${id}::uuid` : Prisma.sql`false`;
}
