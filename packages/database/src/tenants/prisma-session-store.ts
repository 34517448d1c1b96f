import { createHash, createHmac, randomBytes } from "node:crypto";
import {
  type Actor,
  type FoundSession,
  type NewSession,
  type Role,
  type Session,
  type SessionStore,
} from "@genga/jobs";
import { v7 as uuidv7, validate as isUuid } from "uuid";
import { recordAuditEvent } from "./audit-events.ts";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";

const listedMax = 1_000;
const sessionsOfKeyMax = 500;

/** Sessions in PostgreSQL. A token is 32 random bytes, so a plain hash is enough to protect it. */
export class PrismaSessionStore implements SessionStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  openSession(asked: NewSession, by: Actor): Promise<{ session: Session; token: string } | null> {
    const { tenant, keyName } = asked.principal;
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        const { token, row } = await insertSession(transaction, asked);
        if (row === undefined) return null;
        await transaction.$executeRaw`
          DELETE FROM sessions WHERE id IN (
            SELECT id FROM sessions WHERE tenant_id = ${tenant.id}::uuid AND key_name = ${keyName}
            ORDER BY last_used_at DESC OFFSET ${sessionsOfKeyMax}::int FOR UPDATE SKIP LOCKED)`;
        await recordAuditEvent(transaction, {
          ...{ by, action: "signed-in", tenantId: tenant.id, subject: row.id },
        });
        return { session: { ...row, tenant, keyName }, token };
      }),
    );
  }

  /** One statement, which writes at most once a minute for each session: the key of a session is used with it. */
  findSession(
    token: string,
    configuredHashes: readonly string[],
    idleMs: number,
  ): Promise<FoundSession | null> {
    return withMappedErrors(async () => {
      const byProof = new Map(configuredHashes.map((hash) => [proofOf(token, hash).toString("hex"), hash]));
      const [row] = await this.#database.$queryRaw<FoundRow[]>`
        WITH found AS (
          SELECT session.*, tenant.name AS tenant_name, key.id AS key_id, key.name AS made_name, key.role,
            least(session.idle_until, secret.valid_until) AS valid_until
          FROM sessions session
          JOIN tenants tenant ON tenant.id = session.tenant_id
          LEFT JOIN access_key_secrets secret ON secret.hash = session.secret_hash
            AND (secret.valid_until IS NULL OR secret.valid_until > now())
          LEFT JOIN access_keys key ON key.id = secret.key_id AND key.revoked_at IS NULL
          WHERE session.token_hash = ${hashOf(token)} AND session.idle_until > now()
            AND (key.id IS NOT NULL OR encode(session.key_proof, 'hex') = ANY(${[...byProof.keys()]}::text[]))
        ), used AS (
          UPDATE sessions SET last_used_at = now(),
            idle_until = least(now() + ${idleMs}::float8 * interval '1 millisecond', sessions.expires_at)
          FROM found
          WHERE sessions.id = found.id AND found.last_used_at < now() - interval '1 minute'
        ), used_key AS (
          UPDATE access_keys SET last_used_at = now()
          WHERE id IN (
            SELECT key.id FROM access_keys key JOIN found ON found.key_id = key.id
            WHERE found.last_used_at < now() - interval '1 minute' FOR NO KEY UPDATE OF key SKIP LOCKED)
        )
        SELECT id, tenant_id AS "tenantId", tenant_name AS "tenantName", key_name AS "keyName",
          created_at AS "createdAt", last_used_at AS "lastUsedAt", idle_until AS "idleUntil",
          expires_at AS "expiresAt", made_name AS "madeName", role::text, encode(key_proof, 'hex') AS proof,
          (extract(epoch FROM valid_until - now()) * 1000)::float8 AS "validForMs"
        FROM found`;
      if (row === undefined) return null;
      const { validForMs, madeName, role, proof } = row;
      const session = sessionOf(row);
      if (madeName !== null && role !== null) {
        return {
          session,
          key: { principal: { tenant: session.tenant, role, keyName: madeName } },
          validForMs,
        };
      }
      const configuredHash = byProof.get(proof ?? "");
      return configuredHash === undefined ? null : { session, key: { configuredHash }, validForMs };
    });
  }

  findLiving(tokens: readonly string[]): Promise<string[]> {
    return withMappedErrors(async () => {
      const byHash = new Map(tokens.map((token) => [Buffer.from(hashOf(token)).toString("hex"), token]));
      const rows = await this.#database.$queryRaw<{ hash: string }[]>`
        SELECT encode(session.token_hash, 'hex') AS hash
        FROM unnest(${[...byHash.keys()]}::text[]) AS sent (hash)
        JOIN sessions session ON session.token_hash = decode(sent.hash, 'hex') WHERE ${lives}`;
      return rows.flatMap(({ hash }) => byHash.get(hash) ?? []);
    });
  }

  listSessions(): Promise<Session[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<SessionRow[]>`
        SELECT session.id, session.tenant_id AS "tenantId", tenant.name AS "tenantName",
          session.key_name AS "keyName", session.created_at AS "createdAt", session.last_used_at AS "lastUsedAt",
          session.idle_until AS "idleUntil", session.expires_at AS "expiresAt"
        FROM sessions session JOIN tenants tenant ON tenant.id = session.tenant_id WHERE ${lives}
        ORDER BY session.last_used_at DESC, session.id DESC LIMIT ${listedMax}::int`;
      return rows.map(sessionOf);
    });
  }

  signOut(tokens: readonly string[]): Promise<void> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        for (const token of tokens) {
          const [ended] = await transaction.$queryRaw<EndedRow[]>`
            DELETE FROM sessions WHERE token_hash = ${hashOf(token)}
            RETURNING id, tenant_id AS "tenantId", key_name AS "keyName"`;
          if (ended === undefined) continue;
          const { id: subject, tenantId, keyName } = ended;
          const by = { keyName, tenantId };
          await recordAuditEvent(transaction, { by, action: "signed-out", tenantId, subject });
        }
      }),
    );
  }

  endSession(id: string, by: Actor): Promise<boolean> {
    return withMappedErrors(async () => {
      if (!isUuid(id)) return false;
      return await this.#database.$transaction(async (transaction) => {
        const [ended] = await transaction.$queryRaw<EndedRow[]>`
          DELETE FROM sessions session WHERE id = ${id}::uuid AND ${lives}
          RETURNING id, tenant_id AS "tenantId", key_name AS "keyName"`;
        if (ended === undefined) return false;
        const { tenantId, keyName } = ended;
        const details = { keyName };
        await recordAuditEvent(transaction, {
          ...{ by, action: "session-ended", tenantId, subject: id, details },
        });
        return true;
      });
    });
  }
}

/** Of a session: it has not expired, and its key works, as far as the database knows. */
const lives = Prisma.sql`session.idle_until > now() AND (session.secret_hash IS NULL OR EXISTS (
  SELECT FROM access_key_secrets secret JOIN access_keys key ON key.id = secret.key_id
  WHERE secret.hash = session.secret_hash AND key.revoked_at IS NULL
    AND (secret.valid_until IS NULL OR secret.valid_until > now())))`;

type Times = Pick<Session, "createdAt" | "lastUsedAt" | "idleUntil" | "expiresAt">;

interface SessionRow extends Times {
  id: string;
  tenantId: string;
  tenantName: string;
  keyName: string;
}

interface FoundRow extends SessionRow {
  /** Of a created key. */
  madeName: string | null;
  role: Role | null;
  /** Of a key of API_KEYS. */
  proof: string | null;
  validForMs: number;
}

interface EndedRow {
  id: string;
  tenantId: string;
  keyName: string;
}

/** Inserts no row for a created key that was revoked meanwhile. */
async function insertSession(
  transaction: Prisma.TransactionClient,
  { principal, key, isConfigured, idleMs, lifetimeMs }: NewSession,
): Promise<{ token: string; row: ({ id: string } & Times) | undefined }> {
  const token = randomBytes(32).toString("base64url");
  const keyHash = hashOf(key);
  const proof = proofOf(token, Buffer.from(keyHash).toString("hex"));
  const bound = isConfigured
    ? Prisma.sql`SELECT NULL::bytea AS secret_hash, ${new Uint8Array(proof)}::bytea AS key_proof`
    : Prisma.sql`SELECT secret.hash AS secret_hash, NULL::bytea AS key_proof
        FROM access_key_secrets secret JOIN access_keys key ON key.id = secret.key_id
        WHERE secret.hash = ${keyHash} AND key.revoked_at IS NULL
          AND (secret.valid_until IS NULL OR secret.valid_until > now())`;
  const [row] = await transaction.$queryRaw<({ id: string } & Times)[]>`
    INSERT INTO sessions (id, token_hash, tenant_id, key_name, secret_hash, key_proof, idle_until, expires_at)
    SELECT ${uuidv7()}::uuid, ${hashOf(token)}, ${principal.tenant.id}::uuid, ${principal.keyName},
      secret_hash, key_proof, now() + ${Math.min(idleMs, lifetimeMs)}::float8 * interval '1 millisecond',
      now() + ${lifetimeMs}::float8 * interval '1 millisecond'
    FROM (${bound}) bound
    RETURNING id, created_at AS "createdAt", last_used_at AS "lastUsedAt", idle_until AS "idleUntil",
      expires_at AS "expiresAt"`;
  return { token, row };
}

function sessionOf({ tenantId, tenantName, ...row }: SessionRow): Session {
  const { id, keyName, createdAt, lastUsedAt, idleUntil, expiresAt } = row;
  return {
    ...{ id, keyName, createdAt, lastUsedAt, idleUntil, expiresAt },
    tenant: { id: tenantId, name: tenantName },
  };
}

function hashOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(text).digest());
}

/**
 * What a session keeps of a key of API_KEYS. Such a key may be short, and whoever reads the table could guess it from a
 * plain hash; for this, one would need the token, too.
 */
function proofOf(token: string, keyHash: string): Buffer {
  return createHmac("sha256", token).update(keyHash).digest();
}
