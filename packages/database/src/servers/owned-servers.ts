import { type ServerLease } from "@genga/jobs";
import { toStoredJson } from "../connection/stored-json.ts";
import { Prisma } from "../generated/client.ts";

/** The server is owned under exactly this lease, expired or not. A released server has no owner. */
export const isOwned = Prisma.sql`server.id = lease."serverId" AND server.lease_number = lease."leaseNumber"
  AND server.lease_owner IS NOT NULL`;

/** The leases as a table named `lease`. */
export function leaseRows(leases: ServerLease[]): Prisma.Sql {
  const rows = leases.map(({ serverId, leaseNumber }) => ({ serverId, leaseNumber }));
  return Prisma.sql`jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS lease("serverId" uuid, "leaseNumber" int)`;
}
