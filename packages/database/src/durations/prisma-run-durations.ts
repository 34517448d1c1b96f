import {
  type DurationRow,
  type DurationSample,
  type EstimateError,
  type RunDurations,
  withSample,
} from "@genga/jobs";
import { z } from "zod";
import { withMappedErrors } from "../connection/database-errors.ts";
import { repeatConflicts } from "../connection/repeat-conflicts.ts";
import { toStoredJson } from "../connection/stored-json.ts";
import { type Prisma, type PrismaClient } from "../generated/client.ts";

/** Beyond these, the keys are forgotten that no run has had for the longest time. */
const rowsMaxUsually = 20_000;
/** The estimates that the median error is of. */
const errorsMax = 500;
/** After so many writes of this process it looks for rows beyond the bounds. */
const writesBetweenRemovals = 50;

interface StoredRow {
  key: string;
  samples: number[];
  nodes: unknown;
}

const nodesSchema = z.record(z.string(), z.object({ ms: z.number(), perStep: z.boolean() }));

/** Measured runs in the tables `run_durations` and `estimate_errors`. */
export class PrismaRunDurations implements RunDurations {
  readonly #database: PrismaClient;
  readonly #rowsMax: number;
  #writes = 0;

  constructor(database: PrismaClient, { rowsMax = rowsMaxUsually } = {}) {
    this.#database = database;
    this.#rowsMax = rowsMax;
  }

  findDurations(keys: readonly string[]): Promise<DurationRow[]> {
    return withMappedErrors(async () => {
      if (keys.length === 0) return [];
      const rows = await this.#database.$queryRaw<StoredRow[]>`
        SELECT key, samples, nodes FROM run_durations WHERE key = ANY(${[...keys]}::text[])`;
      return rows.map(durationFromRow);
    });
  }

  addDurations(samples: readonly DurationSample[], errors: readonly number[]): Promise<void> {
    return withMappedErrors(async () => {
      if (samples.length > 0)
        await repeatConflicts(() => this.#database.$transaction((transaction) => add(transaction, samples)));
      if (errors.length > 0)
        await this.#database.$executeRaw`
          INSERT INTO estimate_errors (error) SELECT unnest(${[...errors]}::float8[])`;
      this.#writes += 1;
      if (this.#writes % writesBetweenRemovals === 1) await this.#removeOld();
    });
  }

  readEstimateError(): Promise<EstimateError> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<EstimateError[]>`
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY error) AS "medianError", count(*)::int AS runs
        FROM (SELECT error FROM estimate_errors ORDER BY id DESC LIMIT ${errorsMax}::int) latest`;
      return row ?? { medianError: null, runs: 0 };
    });
  }

  async #removeOld(): Promise<void> {
    await this.#database.$executeRaw`
      DELETE FROM run_durations WHERE used_at <= (
        SELECT used_at FROM run_durations ORDER BY used_at DESC OFFSET ${this.#rowsMax}::int LIMIT 1)`;
    await this.#database.$executeRaw`
      DELETE FROM estimate_errors WHERE id <= (
        SELECT id FROM estimate_errors ORDER BY id DESC OFFSET ${errorsMax}::int LIMIT 1)`;
  }
}

/** Rows are locked in the order of their keys, so that workers that measured the same kinds of runs do not deadlock. */
async function add(transaction: Prisma.TransactionClient, samples: readonly DurationSample[]): Promise<void> {
  const keys = [...new Set(samples.map(({ key }) => key))].sort();
  await transaction.$executeRaw`
    INSERT INTO run_durations (key, samples, nodes)
    SELECT key, '{}', '{}' FROM unnest(${keys}::text[]) AS new(key) ORDER BY key ON CONFLICT DO NOTHING`;
  const stored = await transaction.$queryRaw<StoredRow[]>`
    SELECT key, samples, nodes FROM run_durations WHERE key = ANY(${keys}::text[])
    ORDER BY key FOR NO KEY UPDATE`;
  const rows = new Map(stored.map((row) => [row.key, durationFromRow(row)]));
  for (const sample of samples) rows.set(sample.key, withSample(rows.get(sample.key), sample));
  await transaction.$executeRaw`
    UPDATE run_durations SET samples = new.samples, nodes = new.nodes, used_at = now()
    FROM jsonb_to_recordset(${toStoredJson([...rows.values()])}::jsonb) AS new(key text, samples float8[], nodes jsonb)
    WHERE run_durations.key = new.key`;
}

/** Another version may have written other nodes; then the times of the runs count without them. */
function durationFromRow({ key, samples, nodes }: StoredRow): DurationRow {
  return { key, samples, nodes: nodesSchema.safeParse(nodes).data ?? {} };
}
