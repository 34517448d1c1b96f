import { type ServerAbilities, type ServerDevice, type ServerRecord } from "@genga/jobs";
import { z } from "zod";
import { Prisma } from "../generated/client.ts";
import { withoutUserInfo } from "./clean-server-urls.ts";
import { isAdded } from "./server-conditions.ts";

/** The columns of a `ServerRecord`, from a table, alias or CTE named `server`. */
export const serverColumns = Prisma.sql`
  server.id, server.url, server.slots, server.state, server.state_reason AS "stateReason",
  server.state_since AS "stateSince", server.draining, server.lease_owner AS "ownerId",
  server.lease_number AS "leaseNumber", coalesce(server.lease_expires_at > now(), false) AS "isLeased",
  server.lease_expires_at AS "leaseExpiresAt",
  server.definitions_hash AS "definitionsHash", server.version, server.labels, server.abilities, server.devices,
  server.lane, server.loaded_model AS "loadedModel", server.model_since AS "modelSince",
  server.removed_at IS NOT NULL AS "isRemoved", server.source::text AS source,
  server.resolved_from AS "resolvedFrom", server.credential,
  ${isAdded} AS "isAdded",
  (SELECT added.added_at FROM added_servers added
    WHERE added.server_id = server.id AND added.removed_at IS NULL) AS "addedAt",
  EXISTS (SELECT FROM added_servers added WHERE added.server_id = server.id AND added.removed_at IS NULL
    AND added.sealed_authorization IS NOT NULL) AS "hasAuthorization",
  (SELECT count(*)::int FROM jobs
    WHERE jobs.status = 'processing' AND jobs.server_id = server.id AND jobs.phase <> 'saving') AS "jobsHeld"`;

/** A row of `serverColumns`. */
export type ServerRow = Omit<ServerRecord, "abilities" | "devices"> & {
  abilities: unknown;
  devices: unknown;
};

/**
 * Abilities that a later version stored in another form count as unknown; the server's next owner probes the server
 * again.
 */
const abilitiesSchema: z.ZodType<ServerAbilities | null> = z
  .object({
    cancelsById: z.boolean(),
    namesPreviews: z.boolean(),
    replacesNodes: z.boolean(),
    hasAssets: z.boolean(),
    uploadBytesMax: z.number().nullable(),
  })
  .nullable()
  .catch(null);

const devicesSchema: z.ZodType<ServerDevice[] | null> = z
  .array(z.object({ name: z.string(), type: z.string(), totalBytes: z.number(), freeBytes: z.number() }))
  .nullable()
  .catch(null);

export function recordFromRow(row: ServerRow): ServerRecord {
  return {
    ...row,
    url: withoutUserInfo(row.url),
    abilities: abilitiesSchema.parse(row.abilities),
    devices: devicesSchema.parse(row.devices),
  };
}
