import { type ServerLease, type StoredDefinitions } from "@genga/jobs";
import { toStoredJson } from "../connection/stored-json.ts";
import { type Statements } from "../connection/plain-statements.ts";
import { Prisma } from "../generated/client.ts";
import { isOwned, leaseRows } from "./owned-servers.ts";

/** The server, locked if it is owned under this lease. */
const held = (lease: ServerLease): Prisma.Sql => Prisma.sql`
  SELECT server.id FROM servers server JOIN ${leaseRows([lease])} ON ${isOwned} FOR NO KEY UPDATE OF server`;

/** Definitions that a row names no more are kept for a while (`removeUnusedDefinitions`), counted from now. */
const leftBehind = (hash: string): Prisma.Sql => Prisma.sql`
  UPDATE node_definitions SET last_named_at = now() FROM servers JOIN held ON held.id = servers.id
  WHERE node_definitions.hash = servers.definitions_hash AND node_definitions.hash <> ${hash}`;

/** @returns false if the server is not held under the lease */
export async function saveDefinitions(
  database: Statements,
  lease: ServerLease,
  { hash, objectInfo, replacements }: StoredDefinitions & { hash: string },
): Promise<boolean> {
  const changed = await database.$executeRaw`
    WITH held AS (${held(lease)}), stored AS (
      INSERT INTO node_definitions (hash, object_info, replacements)
      SELECT ${hash}, ${toStoredJson(objectInfo)}::jsonb,
        ${replacements === null ? null : toStoredJson(replacements)}::jsonb FROM held
      ON CONFLICT (hash) DO UPDATE SET last_named_at = now()
    ), left_behind AS (${leftBehind(hash)})
    UPDATE servers SET definitions_hash = ${hash} FROM held WHERE servers.id = held.id`;
  return changed === 1;
}

/** @returns `not-stored` = nothing is stored under the hash, and nothing was changed */
export async function nameDefinitions(
  database: Statements,
  lease: ServerLease,
  hash: string,
): Promise<"named" | "not-stored" | "not-held"> {
  const [found] = await database.$queryRaw<{ isHeld: boolean; isStored: boolean }[]>`
    WITH held AS (${held(lease)}), stored AS (
      UPDATE node_definitions SET last_named_at = now()
      WHERE hash = ${hash} AND EXISTS (SELECT FROM held) RETURNING hash
    ), left_behind AS (${leftBehind(hash)} AND EXISTS (SELECT FROM stored)), named AS (
      UPDATE servers SET definitions_hash = stored.hash FROM held, stored WHERE servers.id = held.id
    )
    SELECT EXISTS (SELECT FROM held) AS "isHeld", EXISTS (SELECT FROM stored) AS "isStored"`;
  if (found?.isHeld !== true) return "not-held";
  return found.isStored ? "named" : "not-stored";
}
