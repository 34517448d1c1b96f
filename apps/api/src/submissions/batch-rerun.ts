import { ExactNumber, isObject, parseExactJson } from "@genga/comfyui";
import {
  cut,
  InvalidJobError,
  jobMarks,
  type Batch,
  type Job,
  type StoredParameters,
  type TenantJobReader,
} from "@genga/jobs";
import { problemsOf } from "@genga/workflows";
import { randomInt } from "node:crypto";
import { z } from "zod";
import { batchNameSchema } from "./submission-body.ts";

/** The most jobs of a batch that are made again by one request. */
const rerunMax = 500;

export const batchRerunSchema = z.strictObject({
  mark: z
    .enum([...jobMarks, "none"])
    .optional()
    .describe("Only jobs with this mark; `none` = without any. Absent: all jobs of the batch."),
  newSeeds: z
    .boolean()
    .optional()
    .describe(
      "Each new job gets a new seed: of a raw graph, each input named seed or noise_seed that is no link. Default: true.",
    ),
  name: batchNameSchema,
});
export type BatchRerun = z.output<typeof batchRerunSchema>;

/** @param body parsed JSON @throws InvalidJobError */
export function readBatchRerun(body: unknown): BatchRerun {
  const parsed = batchRerunSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new InvalidJobError(problemsOf(parsed.error, batchRerunSchema, body));
}

/** The jobs that are made again, in the order of the batch. @throws InvalidJobError when there are none, or too many */
export async function jobsToRerun(
  jobs: TenantJobReader,
  batchId: string,
  mark: BatchRerun["mark"],
): Promise<Job[]> {
  const { items, nextCursor } = await jobs.listJobs({
    ...{ batchId, limit: rerunMax },
    ...(mark !== undefined && { mark }),
  });
  if (items.length === 0) {
    const message = "No job of the batch has this mark, so there is nothing to make again.";
    throw new InvalidJobError([{ path: "mark", code: "invalid-value", message }]);
  }
  if (nextCursor !== null) {
    const message = `More than ${rerunMax} jobs would be made again; choose fewer by their mark.`;
    throw new InvalidJobError([
      { path: "mark", code: "out-of-bounds", message, accepted: { max: rerunMax } },
    ]);
  }
  return items.toReversed();
}

/** "rain" → "rain again" */
export function nameOfRerun(batch: Pick<Batch, "name">, given: string | undefined): string {
  return given ?? `${cut(batch.name ?? "batch", nameMax - suffix.length)}${suffix}`;
}

const suffix = " again";
const nameMax = 200;

const seedNames = new Set(["seed", "noise_seed"]);
/** Nodes take different ranges of seeds; all take these. */
const seedsEnd = 2 ** 31;

/** The changes by which a rerun differs in nothing but its seeds. */
export function changesOfSeeds(
  { type }: Pick<Job, "type">,
  { workflow }: Pick<StoredParameters, "workflow">,
  draw: () => number = () => randomInt(seedsEnd),
): Record<string, unknown> {
  // Without a seed one is drawn.
  if (type !== "workflow") return { seed: null };
  const graph = parseExactJson(workflow);
  const changes = Object.entries(isObject(graph) ? graph : {}).flatMap(([id, node]) => {
    const inputs = isObject(node) && isObject(node["inputs"]) ? Object.entries(node["inputs"]) : [];
    const seeds = inputs.filter(([name, value]) => seedNames.has(name) && isNumber(value));
    return seeds.length === 0
      ? []
      : [[id, Object.fromEntries(seeds.map(([name]) => [name, draw()]))] as const];
  });
  return Object.fromEntries(changes);
}

function isNumber(value: unknown): boolean {
  return (
    typeof value === "number" ||
    value instanceof ExactNumber ||
    (typeof value === "string" && /^\d+$/.test(value))
  );
}
