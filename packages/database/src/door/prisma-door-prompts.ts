import {
  type DoorEntry,
  type DoorPrompt,
  type DoorPrompts,
  type DoorPromptWithGraph,
  type EndedDoorPrompt,
  type JobStatus,
  type PromptSender,
} from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { TenantGatherers } from "../connection/tenant-gatherers.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { graphText } from "../jobs/job-rows.ts";
import { hasEnded, isActive, shownStatus } from "./prompt-conditions.ts";
import { partsByBytes, type StoredJob } from "../jobs/reading/parts-by-bytes.ts";

/** Prompts of which one statement reads how large they are. */
const pageMax = 200;
/** A prompt that a client believes to be open ended at most so long ago; it asked less than that before. */
const justEndedMs = 10_000;
/** Ends that one statement reads: each has a graph, and an entry of up to 1 MiB. */
const endedTogetherMax = 8;
/** Prompts that one statement hides: what hides all of them could take longer than a statement may. */
const hiddenTogetherMax = 5_000;
const nilId = "00000000-0000-0000-0000-000000000000";
/** Jobs of one prompt id among which that of a sender is looked for. Hardly any client uses an id twice. */
const ofOneIdMax = 100;
/** Of one client at once. */
const ofClientMax = 1_000;

const promptColumns = Prisma.sql`
  prompt.job_id AS "jobId", prompt.tenant_id AS "tenantId", prompt.key_name AS "keyName", prompt.prompt_id AS "promptId",
  prompt.client_id AS "clientId", prompt.number, prompt.said_hash AS "saidHash", prompt.targets,
  prompt.output_nodes AS "outputNodes", prompt.socket_nodes AS "socketNodes", prompt.rewrites, prompt.hidden,
  prompt.created_at AS "createdAt", ${shownStatus} AS status, job.attempt,
  job.cancel_requested_at AS "cancelRequestedAt", job.started_at AS "startedAt", job.finished_at AS "finishedAt"`;

const extraData = Prisma.sql`coalesce(asked.extra_data_text, (asked.parameters -> 'extraData')::text) AS "extraData"`;
const graphColumns = Prisma.sql`${graphText} AS workflow, ${extraData}`;
const noGraphColumns = Prisma.sql`'{}' AS workflow, ${extraData}`;
const withGraph = Prisma.sql`
  JOIN job_parameters asked ON asked.job_id = job.id JOIN workflows ON workflows.hash = asked.workflow_hash`;

const endedColumnsWith = (graph: Prisma.Sql): Prisma.Sql => Prisma.sql`
  ${promptColumns}, ${graph} AS workflow, ${extraData}, entry.entry, job.failure_message AS "failureMessage",
  job.failure_node_id AS "failureNodeId", job.failure_node_type AS "failureNodeType"`;
const endedColumns = endedColumnsWith(graphText);
/** What tells of an end: of the graph an entry is made only where no server told one. */
const endColumns = endedColumnsWith(
  Prisma.sql`CASE WHEN entry.entry IS NULL THEN ${graphText} ELSE '{}' END`,
);

type EndedRow = DoorPromptWithGraph & {
  entry: string | null;
  failureMessage: string | null;
  failureNodeId: string | null;
  failureNodeType: string | null;
};

const stateConditions = {
  waiting: Prisma.sql`${shownStatus} = 'queued'`,
  // After a retry that somebody asked for it only waits, although it has begun before.
  begun: Prisma.sql`(${shownStatus} = 'processing' OR (job.started_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM job_events asked WHERE asked.job_id = job.id AND asked.attempt = job.attempt AND asked.type = 'retry_requested')))`,
};

/** Prompts in the table `door_prompts`. Every statement has the tenant as a condition. */
export class PrismaDoorPrompts implements DoorPrompts {
  readonly #database: PrismaClient;
  readonly #newest = new TenantGatherers<PromptSender, DoorPrompt | null>((tenantId, senders) =>
    this.#findNewest(tenantId, senders),
  );
  readonly #ended = new TenantGatherers<string, EndedDoorPrompt | null>(
    (tenantId, promptIds) => this.#findEnded(tenantId, promptIds),
    { togetherMax: endedTogetherMax },
  );

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  findByJobs(tenantId: string, jobIds: readonly string[]): Promise<(DoorPrompt & { isEndTold: boolean })[]> {
    return withMappedErrors(
      () => this.#database.$queryRaw<(DoorPrompt & { isEndTold: boolean })[]>`
        SELECT ${promptColumns}, job.status NOT IN ('queued', 'processing') AND prompt.client_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM door_ends ended WHERE ended.job_id = prompt.job_id) AS "isEndTold"
        FROM door_prompts prompt JOIN jobs job ON job.id = prompt.job_id
        WHERE prompt.tenant_id = ${tenantId}::uuid AND prompt.job_id = ANY(${jobIds}::uuid[]) ORDER BY prompt.job_id`,
    );
  }

  findNewestOf(tenantId: string, sender: PromptSender): Promise<DoorPrompt | null> {
    return withMappedErrors(() => this.#newest.add(tenantId, sender));
  }

  async #findNewest(tenantId: string, senders: readonly PromptSender[]): Promise<(DoorPrompt | null)[]> {
    const [ids, clients, keys] = [
      senders.map(({ promptId }) => promptId),
      senders.map(({ clientId }) => clientId),
      senders.map(({ keyName }) => keyName),
    ];
    const rows = await this.#database.$queryRaw<(DoorPrompt & { nth: number })[]>`
      SELECT ${promptColumns}, said.nth::int AS nth
      FROM unnest(${ids}::text[], ${clients}::text[], ${keys}::text[]) WITH ORDINALITY AS said(id, client, key, nth)
      CROSS JOIN LATERAL (
        SELECT * FROM (
          SELECT * FROM door_prompts WHERE tenant_id = ${tenantId}::uuid AND prompt_id = said.id
          ORDER BY job_id DESC LIMIT ${ofOneIdMax}
        ) latest WHERE latest.client_id IS NOT DISTINCT FROM said.client AND latest.key_name = said.key
        ORDER BY job_id DESC LIMIT 1
      ) prompt JOIN jobs job ON job.id = prompt.job_id`;
    const found = new Map(rows.map(({ nth, ...prompt }) => [nth, prompt]));
    return senders.map((_sender, index) => found.get(index + 1) ?? null);
  }

  findByPlace(tenantId: string, place: string): Promise<DoorPrompt | null> {
    return withMappedErrors(async () => {
      const [prompt] = await this.#database.$queryRaw<DoorPrompt[]>`
        SELECT ${promptColumns} FROM door_prompts prompt JOIN jobs job ON job.id = prompt.job_id
        WHERE prompt.tenant_id = ${tenantId}::uuid AND prompt.place = ${place}`;
      return prompt ?? null;
    });
  }

  findByPromptIds(tenantId: string, promptIds: readonly string[]): Promise<DoorPrompt[]> {
    return withMappedErrors(
      () => this.#database.$queryRaw<DoorPrompt[]>`
        SELECT ${promptColumns} FROM unnest(${[...new Set(promptIds)]}::text[]) AS said(id)
        CROSS JOIN LATERAL (
          SELECT * FROM door_prompts WHERE tenant_id = ${tenantId}::uuid AND prompt_id = said.id
          ORDER BY job_id DESC LIMIT 1
        ) prompt JOIN jobs job ON job.id = prompt.job_id`,
    );
  }

  findByClientId(tenantId: string, clientId: string, endedWithinMs: number): Promise<DoorPrompt[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<DoorPrompt[]>`
        SELECT ${promptColumns} FROM (
          SELECT * FROM door_prompts WHERE tenant_id = ${tenantId}::uuid AND client_id = ${clientId}
          ORDER BY job_id DESC LIMIT ${ofClientMax}
        ) prompt JOIN jobs job ON job.id = prompt.job_id
        WHERE job.finished_at IS NULL OR job.finished_at > now() - ${endedWithinMs} * interval '1 millisecond'
        ORDER BY prompt.job_id`;
      return rows;
    });
  }

  countActive(tenantId: string, keyName: string): Promise<number> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<[{ count: number }]>`
        SELECT count(*)::int AS count FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
        WHERE job.tenant_id = ${tenantId}::uuid AND ${isActive} AND prompt.key_name = ${keyName}`;
      return row.count;
    });
  }

  async *listActive(
    tenantId: string,
    keyName: string,
    believedOpen: readonly string[] = [],
    { withoutGraphs = false }: { withoutGraphs?: boolean } = {},
  ): AsyncGenerator<DoorPromptWithGraph[]> {
    const justEnded = Prisma.sql`
      UNION ALL
      SELECT prompt.job_id, 'processing', prompt.number FROM unnest(${[...new Set(believedOpen)]}::text[]) AS said(id)
      CROSS JOIN LATERAL (
        SELECT * FROM door_prompts WHERE tenant_id = ${tenantId}::uuid AND prompt_id = said.id ORDER BY job_id DESC LIMIT 1
      ) prompt JOIN jobs job ON job.id = prompt.job_id
      WHERE prompt.key_name = ${keyName} AND NOT prompt.hidden AND ${hasEnded}
        AND job.finished_at > now() - ${justEndedMs}::float8 * interval '1 millisecond'`;
    const places = await withMappedErrors(
      () => this.#database.$queryRaw<{ jobId: string; status: JobStatus }[]>`
        SELECT id AS "jobId", status FROM (
          SELECT job.id, ${shownStatus} AS status, prompt.number FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
          WHERE job.tenant_id = ${tenantId}::uuid AND ${isActive} AND prompt.key_name = ${keyName}
          ${believedOpen.length === 0 ? Prisma.empty : justEnded}
        ) open ORDER BY status = 'queued', number, id LIMIT ${listedMax}`,
    );
    const statuses = new Map(places.map(({ jobId, status }) => [jobId, status]));
    for await (const part of this.#partsOf(places)) {
      const page = await withMappedErrors(
        () => this.#database.$queryRaw<DoorPromptWithGraph[]>`
          SELECT ${promptColumns}, ${withoutGraphs ? noGraphColumns : graphColumns}
          FROM unnest(${part}::uuid[]) WITH ORDINALITY AS wanted(id, place)
          JOIN door_prompts prompt ON prompt.job_id = wanted.id JOIN jobs job ON job.id = prompt.job_id ${withGraph}
          ORDER BY wanted.place`,
      );
      yield page.map((prompt) => ({ ...prompt, status: statuses.get(prompt.jobId) ?? prompt.status }));
    }
  }

  findActiveJobs(
    tenantId: string,
    keyName: string,
    { promptIds, state }: { promptIds?: readonly string[]; state?: "waiting" | "begun" },
  ): Promise<{ jobId: string; waits: boolean }[]> {
    return withMappedErrors(async () => {
      const named =
        promptIds === undefined ? Prisma.sql`true` : Prisma.sql`prompt.prompt_id = ANY(${promptIds}::text[])`;
      const inState = state === undefined ? Prisma.sql`true` : stateConditions[state];
      return await this.#database.$queryRaw<{ jobId: string; waits: boolean }[]>`
        SELECT job.id AS "jobId", ${shownStatus} = 'queued' AS waits FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
        WHERE job.tenant_id = ${tenantId}::uuid AND ${isActive} AND prompt.key_name = ${keyName} AND ${named} AND ${inState}
        ORDER BY job.id`;
    });
  }

  findEnded(tenantId: string, promptId: string): Promise<EndedDoorPrompt | null> {
    return withMappedErrors(() => this.#ended.add(tenantId, promptId));
  }

  async #findEnded(tenantId: string, promptIds: string[]): Promise<(EndedDoorPrompt | null)[]> {
    const rows = await this.#database.$queryRaw<EndedRow[]>`
      SELECT ${endedColumns} FROM unnest(${[...new Set(promptIds)]}::text[]) AS said(id)
      CROSS JOIN LATERAL (
        SELECT * FROM door_prompts WHERE tenant_id = ${tenantId}::uuid AND prompt_id = said.id
        ORDER BY job_id DESC LIMIT 1
      ) prompt JOIN jobs job ON job.id = prompt.job_id ${withGraph}
      LEFT JOIN door_entries entry ON entry.job_id = job.id AND entry.attempt = job.attempt
      WHERE NOT prompt.hidden AND ${hasEnded}`;
    const found = new Map(rows.map((row) => [row.promptId, endedFromRow(row)]));
    return promptIds.map((promptId) => found.get(promptId) ?? null);
  }

  findEndedJobs(
    tenantId: string,
    jobIds: readonly string[],
  ): Promise<(EndedDoorPrompt & { isShown: boolean })[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<(EndedRow & { isShown: boolean })[]>`
        SELECT ${endColumns}, ${hasEnded} AS "isShown"
        FROM door_prompts prompt JOIN jobs job ON job.id = prompt.job_id ${withGraph}
        LEFT JOIN door_entries entry ON entry.job_id = job.id AND entry.attempt = job.attempt
        WHERE prompt.tenant_id = ${tenantId}::uuid AND prompt.job_id = ANY(${jobIds}::uuid[]) AND job.finished_at IS NOT NULL
        ORDER BY prompt.job_id`;
      return rows.map(({ isShown, ...row }) => ({ ...endedFromRow(row), isShown }));
    });
  }

  async *listEnded(
    tenantId: string,
    {
      max,
      offset,
      withoutGraphs = false,
    }: { max: number; offset?: number | undefined; withoutGraphs?: boolean },
  ): AsyncGenerator<EndedDoorPrompt[]> {
    const columns = withoutGraphs ? endColumns : endedColumns;
    const page =
      offset === undefined
        ? Prisma.sql`ORDER BY prompt.job_id DESC LIMIT ${max}`
        : Prisma.sql`ORDER BY prompt.job_id LIMIT ${max} OFFSET ${offset}`;
    const places = await withMappedErrors(
      () => this.#database.$queryRaw<{ jobId: string }[]>`
        SELECT prompt.job_id AS "jobId" FROM door_prompts prompt JOIN jobs job ON job.id = prompt.job_id
        WHERE prompt.tenant_id = ${tenantId}::uuid AND NOT prompt.hidden AND ${hasEnded} AND NOT EXISTS (
          SELECT FROM door_prompts newer WHERE newer.tenant_id = ${tenantId}::uuid
            AND newer.prompt_id = prompt.prompt_id AND newer.job_id > prompt.job_id)
        ${page}`,
    );
    if (offset === undefined) places.reverse();
    for await (const part of this.#partsOf(places)) {
      const rows = await withMappedErrors(
        () => this.#database.$queryRaw<EndedRow[]>`
          SELECT ${columns} FROM door_prompts prompt JOIN jobs job ON job.id = prompt.job_id ${withGraph}
          LEFT JOIN door_entries entry ON entry.job_id = job.id AND entry.attempt = job.attempt
          WHERE prompt.job_id = ANY(${part}::uuid[]) AND ${hasEnded} ORDER BY prompt.job_id`,
      );
      yield rows.map(endedFromRow);
    }
  }

  /** The ids of prompts that fit into memory together with their graphs and entries. */
  async *#partsOf(places: readonly { jobId: string }[]): AsyncGenerator<string[]> {
    for (let from = 0; from < places.length; from += pageMax) {
      const ids = places.slice(from, from + pageMax).map(({ jobId }) => jobId);
      const sizes = await withMappedErrors(
        () => this.#database.$queryRaw<StoredJob[]>`
          SELECT wanted.id, coalesce(pg_column_size(asked.parameters), 0) + coalesce(pg_column_size(asked.extra_data_text), 0)
            + coalesce(pg_column_size(workflows.graph_text), pg_column_size(workflows.graph), 0)
            + coalesce(pg_column_size(entry.entry), 0) AS "storedBytes"
          FROM unnest(${ids}::uuid[]) WITH ORDINALITY AS wanted(id, place)
          LEFT JOIN job_parameters asked ON asked.job_id = wanted.id
          LEFT JOIN workflows ON workflows.hash = asked.workflow_hash
          LEFT JOIN door_entries entry ON entry.job_id = wanted.id
          ORDER BY wanted.place`,
      );
      for (const part of partsByBytes(sizes)) yield part.map(({ id }) => id);
    }
  }

  async hide(tenantId: string, which: { promptIds: readonly string[] } | "all"): Promise<void> {
    const named =
      which === "all" ? Prisma.sql`true` : Prisma.sql`prompt.prompt_id = ANY(${which.promptIds}::text[])`;
    let after = nilId;
    for (;;) {
      const [last] = await withMappedErrors(
        () => this.#database.$queryRaw<{ jobId: string }[]>`
          WITH page AS MATERIALIZED (
            SELECT prompt.job_id FROM door_prompts prompt JOIN jobs job ON job.id = prompt.job_id
            WHERE prompt.tenant_id = ${tenantId}::uuid AND NOT prompt.hidden AND prompt.job_id > ${after}::uuid
              AND ${named} AND ${hasEnded}
            ORDER BY prompt.job_id LIMIT ${hiddenTogetherMax} FOR NO KEY UPDATE OF prompt
          ), hiding AS (
            UPDATE door_prompts SET hidden = true WHERE job_id IN (SELECT job_id FROM page)
          )
          SELECT job_id AS "jobId" FROM page ORDER BY job_id DESC LIMIT 1`,
      );
      if (last === undefined) return;
      after = last.jobId;
    }
  }

  readEntries(tenantId: string, jobIds: readonly string[]): Promise<Map<string, DoorEntry>> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<({ jobId: string } & DoorEntry)[]>`
        SELECT entry.job_id AS "jobId", entry.attempt, entry.entry
        FROM door_entries entry JOIN door_prompts prompt ON prompt.job_id = entry.job_id
        WHERE prompt.tenant_id = ${tenantId}::uuid AND entry.job_id = ANY(${jobIds}::uuid[])`;
      return new Map(rows.map(({ jobId, ...entry }) => [jobId, entry]));
    });
  }
}

/** A queue that is shown has at most this many prompts; longer ones are counted in full. */
const listedMax = 10_000;

function endedFromRow({ failureMessage, failureNodeId, failureNodeType, ...row }: EndedRow): EndedDoorPrompt {
  const failure =
    failureMessage === null
      ? null
      : { message: failureMessage, nodeId: failureNodeId, nodeType: failureNodeType };
  return { ...row, failure };
}
