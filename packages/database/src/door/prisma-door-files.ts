import {
  StoreUnavailableError,
  type DoorFile,
  type DoorFileName,
  type DoorFiles,
  type DoorFileType,
  type UnnamedDoorFile,
} from "@genga/jobs";
import { mapDatabaseError, withMappedErrors } from "../connection/database-errors.ts";
import { Gatherer } from "../connection/gatherer.ts";
import { type PlainStatements, type Statements } from "../connection/plain-statements.ts";
import { TenantGatherers } from "../connection/tenant-gatherers.ts";
import { repeatConflicts } from "../connection/repeat-conflicts.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { toStoredJson } from "../connection/stored-json.ts";

/** Digits of a counter, as servers write it; larger ones have more. */
const counterDigits = 5;
const inputsMax = 10_000;
const countedName = /^(?<stem>.*)_(?<digits>\d{5,9})_?\.[^.]*$/s;

/** Files that one statement names; a job with more of them goes alone. */
const namedTogetherMax = 1_000;
/** After so long a naming waits for something, perhaps for another process, and later ones need not wait for it. */
const slowMs = 250;
const runsMax = 2;

interface OutputsToName {
  jobId: string;
  files: readonly UnnamedDoorFile[];
}

interface FoundRow {
  place: number;
  jobId: string | null;
  source: string | null;
  uploadId: string | null;
  hasEnded: boolean;
}

interface NamedRow {
  jobId: string;
  source: string;
  type: DoorFileType;
  subfolder: string;
  name: string;
}

/** Names in the table `door_files`. */
export class PrismaDoorFiles implements DoorFiles {
  readonly #database: PrismaClient;
  readonly #statements: PlainStatements;
  /** Outputs of jobs that end at the same time are named together. */
  readonly #naming = new Gatherer<OutputsToName, Map<string, DoorFileName>>({
    run: (given) => this.#nameTogether(given),
    fits: (next, together) =>
      [...together, next].reduce((sum, { files }) => sum + files.length, 0) <= namedTogetherMax,
    isOfOne: (error) => !(mapDatabaseError(error) instanceof StoreUnavailableError),
    ...{ slowMs, runsMax },
  });

  readonly #found = new TenantGatherers<DoorFileName, DoorFile | null>((tenantId, names) =>
    this.findFiles(tenantId, names),
  );

  constructor(database: PrismaClient, statements: PlainStatements) {
    this.#database = database;
    this.#statements = statements;
  }

  nameOutputs(jobId: string, files: readonly UnnamedDoorFile[]): Promise<Map<string, DoorFileName>> {
    if (files.length === 0) return Promise.resolve(new Map<string, DoorFileName>());
    return withMappedErrors(() => this.#naming.add({ jobId, files }));
  }

  /** Outputs of one tenant are named one after the other, so that no two get one counter. */
  async #nameTogether(given: readonly OutputsToName[]): Promise<Map<string, DoorFileName>[]> {
    const jobIds = [...new Set(given.map(({ jobId }) => jobId))].toSorted();
    const rows = await repeatConflicts(() =>
      this.#statements.transaction(async (transaction) => {
        const tenants = await transaction.$queryRaw<{ tenantId: string }[]>`
          SELECT tenant_id AS "tenantId" FROM door_prompts WHERE job_id = ANY(${jobIds}::uuid[])
          ORDER BY job_id FOR KEY SHARE`;
        const tenantIds = [...new Set(tenants.map(({ tenantId }) => tenantId))].toSorted();
        for (const tenantId of tenantIds) await transaction.$executeRaw(namingLock(tenantId));
        await transaction.$executeRaw(namingStatement(given));
        return await transaction.$queryRaw<NamedRow[]>`
          SELECT job_id AS "jobId", source, type, subfolder, name FROM door_files WHERE job_id = ANY(${jobIds}::uuid[])`;
      }),
    );
    return given.map(({ jobId, files }) => {
      const wanted = new Set(files.map(({ source }) => source));
      const named = rows.filter((row) => row.jobId === jobId && wanted.has(row.source));
      return new Map(named.map(({ source, type, subfolder, name }) => [source, { type, subfolder, name }]));
    });
  }

  findFile(tenantId: string, name: DoorFileName): Promise<DoorFile | null> {
    return withMappedErrors(() => this.#found.add(tenantId, name));
  }

  findFiles(tenantId: string, names: readonly DoorFileName[]): Promise<(DoorFile | null)[]> {
    return withMappedErrors(async () => {
      if (names.length === 0) return [];
      const rows = await this.#database.$queryRaw<FoundRow[]>`
        SELECT wanted.place, file.job_id AS "jobId", file.source, file.upload_id AS "uploadId",
          coalesce(job.finished_at IS NOT NULL, false) AS "hasEnded"
        FROM jsonb_to_recordset(${toStoredJson(names.map((name, place) => ({ ...name, place })))}::jsonb) AS wanted(
          place int, type text, subfolder text, name text)
        JOIN door_files file ON file.tenant_id = ${tenantId}::uuid AND file.type = wanted.type
          AND file.subfolder = wanted.subfolder AND file.name = wanted.name
        LEFT JOIN jobs job ON job.id = file.job_id`;
      const byPlace = new Map(rows.map((row) => [row.place, row]));
      return names.map((_name, place) => fileOf(byPlace.get(place)));
    });
  }

  async nameUpload(
    tenantId: string,
    { type, subfolder, name: wanted }: DoorFileName,
    { uploadId, overwrite }: { uploadId: string; overwrite: boolean },
  ): Promise<DoorFileName> {
    return await withMappedErrors(() =>
      this.#statements.transaction(async (transaction) => {
        // Not between the counting and the naming of outputs, of which one would have no name then.
        await transaction.$executeRaw(namingLock(tenantId));
        const folder = { tenantId, type, subfolder };
        const name = overwrite ? wanted : await freeName(transaction, folder, { wanted, uploadId });
        // Names of outputs are counted on from here, as a server does.
        const { stem = null, digits } = countedName.exec(name)?.groups ?? {};
        const counter = digits === undefined ? null : Number(digits);
        await transaction.$executeRaw`
          INSERT INTO door_files (tenant_id, type, subfolder, name, stem, counter, upload_id)
          VALUES (${tenantId}::uuid, ${type}, ${subfolder}, ${name}, ${stem}::text, ${counter}::int, ${uploadId}::uuid)
          ON CONFLICT (tenant_id, type, subfolder, name) DO UPDATE
            SET upload_id = excluded.upload_id, job_id = NULL, source = NULL, created_at = now()
            WHERE ${overwrite}::boolean`;
        return { type, subfolder, name };
      }),
    );
  }

  listInputs(tenantId: string): Promise<{ subfolder: string; name: string; mediaType: string }[]> {
    return withMappedErrors(
      () => this.#database.$queryRaw`
        SELECT newest.subfolder, newest.name, uploads.media_type AS "mediaType" FROM (
          SELECT subfolder, name, upload_id FROM door_files
          WHERE tenant_id = ${tenantId}::uuid AND type = 'input' AND upload_id IS NOT NULL
          ORDER BY created_at DESC LIMIT ${inputsMax}
        ) newest JOIN uploads ON uploads.id = newest.upload_id ORDER BY newest.subfolder, newest.name`,
    );
  }
}

function fileOf(row: FoundRow | undefined): DoorFile | null {
  if (row === undefined) return null;
  const { jobId, source, uploadId, hasEnded } = row;
  if (uploadId !== null) return { uploadId };
  return jobId === null || source === null ? null : { jobId, source, hasEnded };
}

/** Files of one tenant are named one after the other. */
function namingLock(tenantId: string): Prisma.Sql {
  return Prisma.sql`SELECT pg_advisory_xact_lock(hashtextextended('door_files ' || ${tenantId}, 0))`;
}

/** Names those files that have no name yet; in each folder a stem is counted on from its highest counter. */
function namingStatement(given: readonly OutputsToName[]): Prisma.Sql {
  const files = given.flatMap(({ jobId, files }) => files.map((file) => ({ jobId, ...file })));
  const placed = files.map((file, place) => ({ ...file, place }));
  return Prisma.sql`
    WITH unnamed AS (
      SELECT file.*, prompt.tenant_id FROM jsonb_to_recordset(${toStoredJson(placed)}::jsonb) AS file(
        place int, "jobId" uuid, source text, type text, subfolder text, stem text, ending text)
      JOIN door_prompts prompt ON prompt.job_id = file."jobId"
      WHERE NOT EXISTS (SELECT FROM door_files named WHERE named.job_id = file."jobId" AND named.source = file.source)
    ), counted AS (
      SELECT unnamed.*, (
        SELECT coalesce(max(counter), 0) FROM door_files named
        WHERE named.tenant_id = unnamed.tenant_id AND named.type = unnamed.type AND named.subfolder = unnamed.subfolder
          AND named.stem = unnamed.stem
      ) + row_number() OVER (PARTITION BY tenant_id, type, subfolder, stem ORDER BY place) AS number
      FROM unnamed
    )
    INSERT INTO door_files (tenant_id, type, subfolder, name, stem, counter, job_id, source)
    SELECT tenant_id, type, subfolder,
      stem || '_' || CASE WHEN number < 10 ^ ${counterDigits} THEN lpad(number::text, ${counterDigits}, '0')
        ELSE number::text END || ending,
      stem, number, "jobId", source
    FROM counted ORDER BY place
    ON CONFLICT DO NOTHING`;
}

/**
 * The name under which an upload has this content already, or the first that is free: the wanted one, or `name (1).png`, `name (2).png`, …
 * A server looks at one after the other, too.
 */
async function freeName(
  transaction: Statements,
  { tenantId, type, subfolder }: { tenantId: string; type: DoorFileType; subfolder: string },
  { wanted, uploadId }: { wanted: string; uploadId: string },
): Promise<string> {
  const dot = wanted.lastIndexOf(".");
  const [start, ending] = dot <= 0 ? [wanted, ""] : [wanted.slice(0, dot), wanted.slice(dot)];
  const [found] = await transaction.$queryRaw<[{ name: string }]>`
    WITH RECURSIVE tried (number, name) AS (
      SELECT 0, ${wanted}::text
      UNION ALL
      SELECT number + 1, ${start}::text || ' (' || number + 1 || ')' || ${ending}::text FROM tried
      WHERE EXISTS (
        SELECT FROM door_files file WHERE file.tenant_id = ${tenantId}::uuid AND file.type = ${type}
          AND file.subfolder = ${subfolder} AND file.name = tried.name AND file.upload_id IS DISTINCT FROM ${uploadId}::uuid)
    )
    SELECT name FROM tried ORDER BY number DESC LIMIT 1`;
  return found.name;
}
