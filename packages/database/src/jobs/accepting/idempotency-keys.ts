import {
  ClaimLostError,
  type ClaimOutcome,
  type IdempotencyClaim,
  type IdempotencyKey,
  type KeyedRequest,
  type Remarks,
} from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { type Statements } from "../../connection/plain-statements.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

/** What the transaction that accepts jobs records under their request's key. */
export interface Fulfilment {
  claim: IdempotencyClaim;
  /** The batch, or the only job. */
  resourceId: string;
  remarks: Remarks;
}

interface KnownKey {
  route: string;
  bodyHash: string;
  resourceId: string | null;
  remarks: unknown;
  isRemoved: boolean;
  isUnderWay: boolean;
}

const remarksSchema = z.object({
  warnings: z.array(z.string()).default([]),
  notChecked: z.array(z.string()).default([]),
});

/** A key that is given back, or taken over, at the same moment is read again. */
const triesMax = 5;

/**
 * Reads the key before it tries to write it: a writer would wait for the transaction that accepts the other request's
 * jobs, but the answer "under way" is to come at once.
 */
export async function claimKey(
  database: PrismaClient,
  key: IdempotencyKey,
  request: KeyedRequest,
  claimMs: number,
): Promise<ClaimOutcome> {
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const [known] = await database.$queryRaw<KnownKey[]>`
      SELECT route, body_hash AS "bodyHash", resource_id AS "resourceId", remarks, removed_at IS NOT NULL AS "isRemoved",
        coalesce(claimed_until > now(), false) AS "isUnderWay"
      FROM idempotency_keys WHERE ${ofKey(key)} AND coalesce(expires_at > now(), true)`;
    if (known?.isUnderWay === true) return { outcome: "under-way" };
    if (known !== undefined && known.resourceId !== null) return outcomeOf(known, known.resourceId, request);
    const claimId = await tryToClaim(database, key, request, claimMs);
    if (claimId !== null) return { outcome: "claimed", claim: { ...key, claimId } };
  }
  return { outcome: "under-way" };
}

function outcomeOf(known: KnownKey, resourceId: string, request: KeyedRequest): ClaimOutcome {
  if (known.route !== request.route || known.bodyHash !== request.bodyHash)
    return { outcome: "other-request" };
  const { isRemoved, remarks } = known;
  return { outcome: "accepted", resourceId, isRemoved, remarks: remarksSchema.parse(remarks) };
}

/** Takes a key that nobody has, that is known no longer, or whose request has not renewed its claim. @returns `null` = somebody was faster */
async function tryToClaim(
  database: PrismaClient,
  { tenantId, door, keyHash }: IdempotencyKey,
  { route, bodyHash }: KeyedRequest,
  claimMs: number,
): Promise<string | null> {
  const claimId = uuidv7();
  const until = inMs(claimMs);
  const [claimed] = await database.$queryRaw<unknown[]>`
    WITH overdue AS (
      SELECT tenant_id, door, key_hash FROM idempotency_keys
      WHERE ${ofKey({ tenantId, door, keyHash })} AND (claimed_until <= now() OR expires_at <= now())
      FOR UPDATE SKIP LOCKED
    ), taken_over AS (
      UPDATE idempotency_keys kept SET claim_id = ${claimId}::uuid, claimed_until = ${until},
        route = ${route}, body_hash = ${bodyHash},
        resource_id = NULL, remarks = '{}', removed_at = NULL, expires_at = NULL
      FROM overdue WHERE (kept.tenant_id, kept.door, kept.key_hash) = (overdue.tenant_id, overdue.door, overdue.key_hash)
      RETURNING kept.claim_id
    ), inserted AS (
      INSERT INTO idempotency_keys (tenant_id, door, key_hash, route, body_hash, claim_id, claimed_until)
      SELECT ${tenantId}::uuid, ${door}, ${keyHash}, ${route}, ${bodyHash}, ${claimId}::uuid, ${until}
      WHERE NOT EXISTS (SELECT FROM taken_over)
      ON CONFLICT DO NOTHING
      RETURNING claim_id
    )
    SELECT claim_id FROM taken_over UNION ALL SELECT claim_id FROM inserted`;
  return claimed === undefined ? null : claimId;
}

/**
 * Only if the request still has the key. It does not wait for the transaction that accepts the jobs: while that one has
 * locked the row, no other request can take the key over.
 */
export async function renewKey(
  database: PrismaClient,
  claim: IdempotencyClaim,
  claimMs: number,
): Promise<void> {
  await database.$executeRaw`
    WITH own AS (
      SELECT tenant_id, door, key_hash FROM idempotency_keys
      WHERE ${ofKey(claim)} AND claim_id = ${claim.claimId}::uuid AND resource_id IS NULL
      FOR UPDATE SKIP LOCKED
    )
    UPDATE idempotency_keys kept SET claimed_until = ${inMs(claimMs)}
    FROM own WHERE (kept.tenant_id, kept.door, kept.key_hash) = (own.tenant_id, own.door, own.key_hash)`;
}

/** Only if the request has no jobs: its transaction may be committed although its answer was lost. */
export async function releaseKey(database: PrismaClient, claim: IdempotencyClaim): Promise<void> {
  await database.$executeRaw`
    DELETE FROM idempotency_keys
    WHERE ${ofKey(claim)} AND claim_id = ${claim.claimId}::uuid AND resource_id IS NULL`;
}

/**
 * First in the transaction that accepts the jobs.
 * @throws ClaimLostError
 */
export async function fulfilClaim(
  transaction: Statements,
  { claim, resourceId, remarks }: Fulfilment,
): Promise<void> {
  const fulfilled = await transaction.$executeRaw`
    UPDATE idempotency_keys
    SET resource_id = ${resourceId}::uuid, remarks = ${toStoredJson(remarks)}::jsonb, claimed_until = NULL,
      expires_at = now() + ${claim.knownMs ?? null}::float8 * interval '1 millisecond'
    WHERE ${ofKey(claim)} AND claim_id = ${claim.claimId}::uuid AND resource_id IS NULL`;
  if (fulfilled === 0) throw new ClaimLostError();
}

function inMs(ms: number): Prisma.Sql {
  return Prisma.sql`now() + ${ms}::float8 * interval '1 millisecond'`;
}

function ofKey({ tenantId, door, keyHash }: IdempotencyKey): Prisma.Sql {
  return Prisma.sql`tenant_id = ${tenantId}::uuid AND door = ${door} AND key_hash = ${keyHash}`;
}
