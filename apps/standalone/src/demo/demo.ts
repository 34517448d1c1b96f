import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { type Configuration } from "@genga/runtime";
import { GengaClient, GengaError, type AcceptedBatch, type JobDetail } from "@genga/client";
import { demoJobs, withoutWhatIsMissing } from "./demo-batch.ts";
import { type DemoJob } from "./demo-job.ts";
import { type Everything } from "../services/everything.ts";
import { describe } from "./job-line.ts";
import { createProgressBoard, type ProgressBoard } from "./progress-board.ts";
import { saveZip } from "./save-zip.ts";

export interface DemoOptions {
  readonly everything: Everything;
  readonly configuration: Configuration;
  readonly signal: AbortSignal;
  /** Sets the board through which other code must print its lines; undefined: lines may be written directly again. */
  readonly onBoard: (board: ProgressBoard | undefined) => void;
  readonly say: (line: string) => void;
}

/**
 * Submits the demonstration's batch through the HTTP API, as any client would, shows its progress, prints the paths
 * of the files, and saves them as a zip. Resolves with true if every job has completed.
 */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const { everything, signal, say } = options;
  const client = new GengaClient({
    ...{ baseUrl: everything.apiUrl, apiKey: everything.apiKey, streamsMax: demoJobs.length },
  });
  const accepted = await submit(client, options);
  if (accepted === undefined) return false;
  const { batch } = accepted;
  say(`batch ${batch.id}: ${batch.jobs.length} jobs accepted`);
  for (const line of linesByModel(accepted.jobs)) say(line);

  const began = performance.now();
  const board = createProgressBoard(process.stdout, titles);
  options.onBoard(board);
  let jobs: readonly JobDetail[];
  const running = new Set<string>();
  const tellPreview = ({ id, status, phase }: JobDetail, index: number): void => {
    if (status !== "processing" || phase !== "executing" || running.has(id)) return;
    running.add(id);
    board.print(
      `  ${titles[index] ?? ""}, preview while it runs: ${everything.apiUrl}/api/anime/jobs/${id}/preview`,
    );
  };
  try {
    jobs = await Promise.all(
      batch.jobs.map((job, index) =>
        client.waitFor(job, {
          signal,
          onProgress: (state) => {
            tellPreview(state, index);
            board.update(index, state);
          },
        }),
      ),
    );
  } finally {
    board.finish();
    options.onBoard(undefined);
  }
  const completed = jobs.filter(({ status }) => status === "completed").length;
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  say("");
  say(`${completed} of ${jobs.length} jobs completed in ${seconds} s`);
  for (const [index, job] of jobs.entries()) tellResult(titles[index] ?? "", job, options);
  if (completed > 0) await tellZip(client, batch.id, options);
  return completed === jobs.length;
}

const titles: readonly string[] = demoJobs.map(({ type }, index) =>
  type === "image" ? `image ${index + 1}` : "video",
);

/**
 * Submits the batch, or, if the servers lack its models or nodes, a batch that they can make. Undefined if it was
 * refused; every reason has been printed.
 */
async function submit(
  client: GengaClient,
  { signal, say }: DemoOptions,
): Promise<{ batch: AcceptedBatch; jobs: readonly DemoJob[] } | undefined> {
  let jobs: readonly DemoJob[] | undefined = demoJobs;
  while (jobs !== undefined) {
    try {
      return { batch: await client.submitBatch({ name: "demo", jobs: [...jobs] }, { signal }), jobs };
    } catch (error) {
      if (!(error instanceof GengaError)) throw error;
      say(`The batch was refused: ${error.message}`);
      for (const { path, message } of error.problems) say(`  ${nameOf(path)}: ${message}`);
      jobs = withoutWhatIsMissing(jobs, error.problems);
      if (jobs !== undefined)
        say("The batch is submitted again with models and nodes that these servers have.");
    }
  }
  return undefined;
}

/** Which jobs need which model; a server does not change its model while jobs for it wait. */
function linesByModel(jobs: readonly DemoJob[]): string[] {
  const byModel = new Map<string, string[]>();
  for (const [index, job] of jobs.entries()) {
    const model = job.type === "workflow" ? "without a model" : `with ${job.model}`;
    byModel.set(model, [...(byModel.get(model) ?? []), titles[index] ?? ""]);
  }
  return [...byModel].map(([model, names]) => `  ${model}: ${names.join(", ")}`);
}

/** `jobs.3.model` → `image 4, model` */
function nameOf(path: string): string {
  const [, index, rest] = /^jobs\.(\d+)\.?(.*)$/.exec(path) ?? [];
  if (index === undefined) return path;
  return [titles[Number(index)] ?? `job ${index}`, rest].filter(Boolean).join(", ");
}

function tellResult(title: string, job: JobDetail, { configuration, say }: DemoOptions): void {
  if (job.status !== "completed") {
    say(`  ${title}: ${describe(job)}`);
    return;
  }
  const { storage } = configuration;
  const files = storage.kind === "file" ? filesOf(job.id, storage.folder) : [];
  for (const file of files) say(`  ${title}: ${file}`);
  const indent = files.length > 0 ? `  ${" ".repeat(title.length)}  ` : `  ${title}: `;
  for (const { links } of job.outputs) say(`${indent}${links.content}`);
}

async function tellZip(
  client: GengaClient,
  batchId: string,
  { configuration, everything, signal, say }: DemoOptions,
): Promise<void> {
  const path = join(configuration.dataDir, "zips", `${batchId}.zip`);
  await saveZip(client, batchId, path, signal);
  say("");
  say(`all of them in one zip, with a manifest by which each can be made again: ${shortest(path)}`);
  say(`  ${everything.apiUrl}/api/anime/batches/${batchId}/outputs.zip`);
}

/** The stored files of a job; relative to the project if they lie inside of it. */
function filesOf(jobId: string, folder: string): string[] {
  const place = join(folder, "jobs", jobId);
  if (!existsSync(place)) return [];
  return readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => shortest(join(entry.parentPath, entry.name)));
}

function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere;
}
