import {
  templatesMax,
  type Actor,
  type NewTemplateVersion,
  type Page,
  type StoredTemplate,
  type TemplateReference,
  type TemplateSaved,
  type TemplateStore,
} from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { recordAuditEvent } from "../tenants/audit-events.ts";

type Transaction = Prisma.TransactionClient;

interface Held {
  id: string;
  latestVersion: number;
  archivedAt: Date | null;
  definition: string;
}

const columns = Prisma.sql`
  template.name, version.version, template.latest_version AS "latestVersion", version.description, version.created_by AS "createdBy",
  version.created_at AS "createdAt", template.archived_at AS "archivedAt"`;

/** Templates in PostgreSQL. A template's row is locked before it changes, so that versions follow each other without gaps. */
export class PrismaTemplateStore implements TemplateStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  addTemplate(
    tenantId: string,
    name: string,
    version: NewTemplateVersion,
    by: Actor,
  ): Promise<TemplateSaved> {
    return this.#change(async (transaction) => {
      await oneAtATime(transaction, tenantId);
      const id = uuidv7();
      const isRoom = await hasRoom(transaction, tenantId, version);
      // Of two that store one name at the same time, the second waits here for the first.
      const inserted = await transaction.$executeRaw`
        INSERT INTO templates (id, tenant_id, name, latest_version)
        SELECT ${id}::uuid, ${tenantId}::uuid, ${name}, 1
        WHERE (SELECT count(*) FROM templates WHERE tenant_id = ${tenantId}::uuid) < ${templatesMax.ofTenant}::int
          AND ${isRoom}::boolean
        ON CONFLICT (tenant_id, name) DO NOTHING`;
      if (inserted === 1) {
        await insertVersion(transaction, { id, version: 1, ...version }, by);
        return await this.#added(transaction, tenantId, name, by);
      }
      const held = await hold(transaction, tenantId, name);
      if (held === undefined) return { outcome: isRoom ? "too-many" : "too-large" };
      if (held.archivedAt === null)
        return held.latestVersion === 1 && held.definition === version.definition
          ? { outcome: "same", template: await found(transaction, tenantId, name) }
          : { outcome: "taken" };
      return await this.#next(transaction, { tenantId, name, held, version }, by);
    });
  }

  addVersion(tenantId: string, name: string, version: NewTemplateVersion, by: Actor): Promise<TemplateSaved> {
    return this.#change(async (transaction) => {
      await oneAtATime(transaction, tenantId);
      const held = await hold(transaction, tenantId, name);
      if (held?.archivedAt !== null) return { outcome: "absent" };
      if (held.definition === version.definition)
        return { outcome: "same", template: await found(transaction, tenantId, name) };
      return await this.#next(transaction, { tenantId, name, held, version }, by);
    });
  }

  archiveTemplate(tenantId: string, name: string, by: Actor): Promise<boolean> {
    return this.#change(async (transaction) => {
      const held = await hold(transaction, tenantId, name);
      if (held === undefined) return false;
      if (held.archivedAt !== null) return true;
      await transaction.$executeRaw`UPDATE templates SET archived_at = now() WHERE id = ${held.id}::uuid`;
      // The time for which unused uploads stay begins now; a locked one is being used.
      await transaction.$executeRaw`
        WITH freed AS (
          DELETE FROM template_uploads WHERE template_id = ${held.id}::uuid RETURNING upload_id
        ), held AS (
          SELECT id FROM uploads WHERE id IN (SELECT upload_id FROM freed) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE uploads SET last_used_at = now() WHERE id IN (SELECT id FROM held)`;
      await recordAuditEvent(transaction, { by, action: "template-archived", tenantId, subject: name });
      return true;
    });
  }

  findTemplates(tenantId: string, wanted: readonly TemplateReference[]): Promise<StoredTemplate[]> {
    return withMappedErrors(() => find(this.#database, tenantId, wanted));
  }

  listTemplates(
    tenantId: string,
    filter: { text?: string | undefined; archived: boolean; limit: number; cursor?: string | undefined },
  ): Promise<Page<Omit<StoredTemplate, "definition">>> {
    const { text = "", archived, limit, cursor = "" } = filter;
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<Omit<StoredTemplate, "definition">[]>`
        SELECT ${columns}
        FROM templates template
        JOIN template_versions version ON version.template_id = template.id AND version.version = template.latest_version
        WHERE template.tenant_id = ${tenantId}::uuid AND template.name > ${cursor} COLLATE "C"
          AND (template.archived_at IS NULL OR ${archived}::boolean)
          AND (strpos(template.name, lower(${text})) > 0
            OR strpos(lower(coalesce(version.description, '')), lower(${text})) > 0)
        ORDER BY template.name COLLATE "C" LIMIT ${limit + 1}::int`;
      const items = rows.slice(0, limit);
      return { items, nextCursor: rows.length > limit ? (items.at(-1)?.name ?? null) : null };
    });
  }

  async #next(
    transaction: Transaction,
    change: { tenantId: string; name: string; held: Held; version: NewTemplateVersion },
    by: Actor,
  ): Promise<TemplateSaved> {
    const { tenantId, name, held, version } = change;
    const next = held.latestVersion + 1;
    if (next > templatesMax.versions) return { outcome: "too-many" };
    if (!(await hasRoom(transaction, tenantId, version))) return { outcome: "too-large" };
    await transaction.$executeRaw`
      UPDATE templates SET latest_version = ${next}::int, archived_at = NULL WHERE id = ${held.id}::uuid`;
    await insertVersion(transaction, { id: held.id, ...version, version: next }, by);
    return await this.#added(transaction, tenantId, name, by);
  }

  async #added(transaction: Transaction, tenantId: string, name: string, by: Actor): Promise<TemplateSaved> {
    const template = await found(transaction, tenantId, name);
    const { version } = template;
    await recordAuditEvent(transaction, {
      ...{ by, action: "template-stored", tenantId, subject: name, details: { version } },
    });
    return { outcome: "added", template };
  }

  #change<Result>(change: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return withMappedErrors(() => this.#database.$transaction(change));
  }
}

/** Of two requests of a tenant that add a version, the second waits until the first has ended, and counts what it added. */
async function oneAtATime(transaction: Transaction, tenantId: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`templates ${tenantId}`}, 0))`;
}

/** Whether the definitions of a tenant's templates may have this one more. Stored texts are measured, not read. */
async function hasRoom(
  transaction: Transaction,
  tenantId: string,
  { definition }: NewTemplateVersion,
): Promise<boolean> {
  const [sum] = await transaction.$queryRaw<{ bytes: number }[]>`
    SELECT coalesce(sum(octet_length(version.definition)), 0)::float8 AS bytes
    FROM templates template JOIN template_versions version ON version.template_id = template.id
    WHERE template.tenant_id = ${tenantId}::uuid`;
  return (sum?.bytes ?? 0) + Buffer.byteLength(definition) <= templatesMax.bytes;
}

/** Locks a template until the transaction ends. */
async function hold(transaction: Transaction, tenantId: string, name: string): Promise<Held | undefined> {
  const locked = await transaction.$queryRaw<Omit<Held, "definition">[]>`
    SELECT id, latest_version AS "latestVersion", archived_at AS "archivedAt" FROM templates
    WHERE tenant_id = ${tenantId}::uuid AND name = ${name} FOR UPDATE`;
  const [template] = locked;
  if (template === undefined) return undefined;
  const { definition } = await found(transaction, tenantId, name);
  return { ...template, definition };
}

async function insertVersion(
  transaction: Transaction,
  { id, version, description, definition, uploadIds }: NewTemplateVersion & { id: string; version: number },
  { keyName }: Actor,
): Promise<void> {
  await transaction.$executeRaw`
    INSERT INTO template_versions (template_id, version, description, definition, created_by)
    VALUES (${id}::uuid, ${version}::int, ${description}, ${definition}, ${keyName})`;
  // In the order in which removals lock them. One that was removed meanwhile is not named; a job that needs it is refused.
  await transaction.$executeRaw`
    INSERT INTO template_uploads (template_id, version, upload_id)
    SELECT ${id}::uuid, ${version}::int, id FROM uploads WHERE id = ANY(${[...uploadIds]}::uuid[])
    ORDER BY id FOR KEY SHARE`;
}

async function found(transaction: Transaction, tenantId: string, name: string): Promise<StoredTemplate> {
  const [template] = await find(transaction, tenantId, [{ name }]);
  if (template === undefined) throw new Error(`The template ${name} has no latest version.`);
  return template;
}

async function find(
  database: Pick<PrismaClient, "$queryRaw">,
  tenantId: string,
  wanted: readonly TemplateReference[],
): Promise<StoredTemplate[]> {
  if (wanted.length === 0) return [];
  const names = wanted.map(({ name }) => name);
  const versions = wanted.map(({ version }) => version ?? null);
  return await database.$queryRaw<StoredTemplate[]>`
    SELECT ${columns}, version.definition
    FROM unnest(${names}::text[], ${versions}::int[]) AS asked(name, version)
    JOIN templates template ON template.tenant_id = ${tenantId}::uuid AND template.name = asked.name
    JOIN template_versions version
      ON version.template_id = template.id AND version.version = coalesce(asked.version, template.latest_version)`;
}
