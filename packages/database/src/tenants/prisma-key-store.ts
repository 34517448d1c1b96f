import { createHash, randomBytes } from "node:crypto";
import {
  KeyNameTakenError,
  type AccessKey,
  type Actor,
  type KeyStore,
  type NewAccessKey,
  type Principal,
  type Role,
  type ToldKey,
} from "@genga/jobs";
import { v7 as uuidv7, validate as isUuid } from "uuid";
import { recordAuditEvent } from "./audit-events.ts";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";

const keysMax = 1_000;

/** Keys in PostgreSQL. The secret value of a key is 32 random bytes, so a plain hash is enough to protect it. */
export class PrismaKeyStore implements KeyStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  hasKeys(): Promise<boolean> {
    return withMappedErrors(
      async () => (await this.#database.accessKey.findFirst({ select: { id: true } })) !== null,
    );
  }

  /** One statement, which writes at most once a minute for each key. */
  findPrincipal(key: string): Promise<{ principal: Principal; validForMs: number | null } | null> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<FoundRow[]>`
        WITH found AS (
          SELECT key.id, key.name, key.role, key.last_used_at, secret.valid_until, tenant.id AS tenant_id,
            tenant.name AS tenant_name
          FROM access_key_secrets secret
          JOIN access_keys key ON key.id = secret.key_id
          JOIN tenants tenant ON tenant.id = key.tenant_id
          WHERE secret.hash = ${hashOf(key)} AND key.revoked_at IS NULL
            AND (secret.valid_until IS NULL OR secret.valid_until > now())
        ), used AS (
          UPDATE access_keys SET last_used_at = now() FROM found
          WHERE access_keys.id = found.id
            AND (found.last_used_at IS NULL OR found.last_used_at < now() - interval '1 minute')
        )
        SELECT name, role::text, tenant_id AS "tenantId", tenant_name AS "tenantName",
          (extract(epoch FROM valid_until - now()) * 1000)::float8 AS "validForMs"
        FROM found`;
      if (row === undefined) return null;
      const { name, role, tenantId, tenantName, validForMs } = row;
      return { principal: { tenant: { id: tenantId, name: tenantName }, role, keyName: name }, validForMs };
    });
  }

  findWorkingKeys(keys: readonly string[]): Promise<string[]> {
    return withMappedErrors(async () => {
      const byHash = new Map(keys.map((key) => [Buffer.from(hashOf(key)).toString("hex"), key]));
      const rows = await this.#database.$queryRaw<{ hash: string }[]>`
        SELECT encode(secret.hash, 'hex') AS hash
        FROM unnest(${[...byHash.keys()]}::text[]) AS sent (hash)
        JOIN access_key_secrets secret ON secret.hash = decode(sent.hash, 'hex')
        JOIN access_keys key ON key.id = secret.key_id
        WHERE key.revoked_at IS NULL AND (secret.valid_until IS NULL OR secret.valid_until > now())`;
      return rows.flatMap(({ hash }) => byHash.get(hash) ?? []);
    });
  }

  listKeys(): Promise<AccessKey[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.accessKey.findMany({
        select: shownColumns,
        orderBy: { id: "desc" },
        take: keysMax,
      });
      return rows.map(shown);
    });
  }

  addKey({ tenantName, name, role }: NewAccessKey, by: Actor): Promise<ToldKey> {
    return withMappedErrors(async () => {
      const { key, hash } = makeKey();
      const accessKey = await this.#database
        .$transaction(async (transaction) => {
          await transaction.$executeRaw`
            INSERT INTO tenants (id, name) VALUES (${uuidv7()}::uuid, ${tenantName})
            ON CONFLICT (name) DO NOTHING`;
          const tenant = await transaction.tenant.findUniqueOrThrow({ where: { name: tenantName } });
          const row = await transaction.accessKey.create({
            data: { id: uuidv7(), tenantId: tenant.id, name, role, secrets: { create: { hash } } },
            select: shownColumns,
          });
          const details = { name, role };
          await recordAuditEvent(transaction, {
            ...{ by, action: "key-added", tenantId: tenant.id, subject: row.id, details },
          });
          return shown(row);
        })
        .catch((error: unknown) => {
          throw isTaken(error) ? new KeyNameTakenError(name) : error;
        });
      return { accessKey, key };
    });
  }

  /**
   * The key's row is locked first, so that of two rotations at the same time the second acts like a later one and ends
   * the value of the first. If the answer is lost, nobody knows the new value; the old one goes on working for its
   * overlap, and the key can be rotated again.
   */
  rotateKey(id: string, overlapMs: number, by: Actor): Promise<ToldKey | null> {
    return withMappedErrors(async () => {
      if (!isUuid(id)) return null;
      const { key, hash } = makeKey();
      return await this.#database.$transaction(async (transaction) => {
        const held = await transaction.$queryRaw<unknown[]>`
          SELECT 1 FROM access_keys WHERE id = ${id}::uuid AND revoked_at IS NULL FOR UPDATE`;
        if (held.length === 0) return null;
        await transaction.$executeRaw`
          UPDATE access_key_secrets SET valid_until = least(valid_until, now() + ${overlapMs} * interval '1 ms')
          WHERE key_id = ${id}::uuid`;
        await transaction.$executeRaw`
          DELETE FROM access_key_secrets WHERE key_id = ${id}::uuid AND valid_until <= now()`;
        await transaction.accessKeySecret.create({ data: { hash, keyId: id } });
        const row = await transaction.accessKey.findUniqueOrThrow({ where: { id }, select: shownColumns });
        const details = { name: row.name, overlapMs };
        await recordAuditEvent(transaction, {
          ...{ by, action: "key-rotated", tenantId: row.tenant.id, subject: id, details },
        });
        return { accessKey: shown(row), key };
      });
    });
  }

  revokeKey(id: string, by: Actor): Promise<AccessKey | null> {
    return withMappedErrors(async () => {
      if (!isUuid(id)) return null;
      return await this.#database.$transaction(async (transaction) => {
        const changed = await transaction.$executeRaw`
          UPDATE access_keys SET revoked_at = now() WHERE id = ${id}::uuid AND revoked_at IS NULL`;
        const row = await transaction.accessKey.findUnique({ where: { id }, select: shownColumns });
        if (row === null) return null;
        const details = { name: row.name };
        if (changed > 0) {
          await recordAuditEvent(transaction, {
            ...{ by, action: "key-revoked", tenantId: row.tenant.id, subject: id, details },
          });
        }
        return shown(row);
      });
    });
  }

  removeCopies(): Promise<number> {
    return withMappedErrors(
      () => this.#database.$executeRaw`DELETE FROM api_keys WHERE created_at < now() - interval '1 day'`,
    );
  }
}

interface FoundRow {
  name: string;
  role: Role;
  tenantId: string;
  tenantName: string;
  validForMs: number | null;
}

const shownColumns = {
  id: true,
  name: true,
  role: true,
  createdAt: true,
  revokedAt: true,
  lastUsedAt: true,
  tenant: { select: { id: true, name: true } },
  secrets: { select: { validUntil: true } },
} as const satisfies Prisma.AccessKeySelect;

function shown(row: Prisma.AccessKeyGetPayload<{ select: typeof shownColumns }>): AccessKey {
  const { secrets, ...rest } = row;
  const ends = secrets.flatMap(({ validUntil }) => (validUntil === null ? [] : [validUntil]));
  const latest = ends.reduce<Date | null>(
    (last, end) => (last === null || end.getTime() > last.getTime() ? end : last),
    null,
  );
  return { ...rest, previousValidUntil: latest };
}

/** The prefix lets secret scanners recognise a leaked key. */
function makeKey(): { key: string; hash: Uint8Array<ArrayBuffer> } {
  const key = `genga_${randomBytes(32).toString("base64url")}`;
  return { key, hash: hashOf(key) };
}

/** Keys are found by their hash, so that the time it takes tells nothing about a key. */
function hashOf(key: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(key).digest());
}

/** The name is the only unique column that a new key can violate. */
function isTaken(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === "P2002";
}
