import { type BatchDetail, type Job, type JobDetail, type JobStatus } from "@genga/client";
import { type Command, Option } from "commander";
import { type CommandContext, contextOf, type Surroundings } from "../command-context.ts";
import { doingText, isBatch, remainingText } from "../following/states.ts";
import { safeText } from "../terminal/safe-text.ts";
import { type Column, factsOf, tableOf } from "../terminal/table.ts";
import { sinceText } from "../terminal/times.ts";
import { countOf } from "./shared.ts";
import { thingOf } from "../following/things.ts";

const statuses: readonly JobStatus[] = [
  "queued",
  "processing",
  "completed",
  "failed",
  "timeout",
  "cancelled",
];

interface ListOptions {
  readonly status?: JobStatus[];
  readonly batch?: string;
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: string;
  readonly text?: string;
  readonly limit: string;
  readonly cursor?: string;
}

/** `ls`, `show` and `why`. */
export function addLooking(program: Command, surroundings: Surroundings): void {
  program
    .command("ls")
    .description("list jobs, newest first")
    .addOption(new Option("--status <status...>", "only these").choices(statuses))
    .option("--batch <id>")
    .option("--project <name>")
    .option("--scene <name>")
    .option("--shot <name>")
    .option("--tag <tag>")
    .option("--text <text>", "words of the prompt")
    .option("--limit <count>", "at most so many, up to 100", "20")
    .option("--cursor <cursor>", "go on where the list before ended")
    .addHelpText(
      "after",
      "\nExample:\n  genga ls --status failed --json | jq -r '.jobs[].id' | xargs -r genga retry",
    )
    .action(async ({ limit, ...filter }: ListOptions, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const query = { ...filter, limit: countOf("--limit", limit, 100) };
      const { data } = await client.http.GET("/api/anime/jobs", { params: { query }, signal });
      terminal.result(data, () => tableOf(data?.jobs ?? [], jobColumns));
      if (typeof data?.nextCursor === "string") terminal.note(`There are more: --cursor ${data.nextCursor}`);
    });
  program
    .command("show")
    .description("show a job: parameters, server, outputs, what went wrong")
    .argument("<id>", "of a job or a batch")
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = await contextOf(command, surroundings);
      const thing = await thingOf(id, context);
      context.terminal.result(thing, () => (isBatch(thing) ? batchLines(thing) : jobLines(thing)));
    });
  program
    .command("why")
    .description("say why a job waits, or why it has not completed")
    .argument("<id>", "of a job or a batch")
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = await contextOf(command, surroundings);
      const thing = await thingOf(id, context);
      const { waitingFor = null, failure = null } = isBatch(thing) ? {} : thing;
      const { id: of, eta, etaReason } = thing;
      const status = isBatch(thing) ? undefined : thing.status;
      const first = isBatch(thing) ? await firstWaiting(thing.id, context) : undefined;
      const shown = { id: of, status, waitingFor: first?.waitingFor ?? waitingFor, failure, eta, etaReason };
      context.terminal.result(shown, () => reasonLines(thing, first));
    });
}

const jobColumns: readonly Column<Job>[] = [
  ["ID", ({ id }) => id],
  ["STATUS", ({ status }) => status],
  ["%", ({ progress }) => Math.floor(progress.percent)],
  ["AGE", ({ createdAt }) => sinceText(createdAt)?.replace(" ago", "")],
  ["SERVER", ({ server }) => server?.name],
  [
    "WHAT",
    ({ prompt, template, type }) =>
      Array.from(prompt ?? template?.name ?? type)
        .slice(0, 60)
        .join(""),
  ],
];

function jobLines(job: JobDetail): string[] {
  const where = [job.project, job.scene, job.shot].filter((part) => part !== null).join(" / ");
  return [
    ...factsOf([
      ["job", job.id],
      ["status", `${job.status}, ${Math.floor(job.progress.percent)} %`],
      ["now", doingText(job)],
      ["left", remainingText(job)],
      ["type", job.type],
      ["prompt", job.prompt],
      ["negative prompt", job.negativePrompt],
      ["template", job.template === null ? null : `${job.template.name}, version ${job.template.version}`],
      ["model", job.model],
      ["where", where],
      ["tags", job.tags.join(", ")],
      ["batch", job.batchId],
      ["server", job.server?.name],
      ["attempt", `${job.attempt} of ${job.attemptsMax}`],
      ["submitted", sinceText(job.createdAt)],
      ["began", sinceText(job.startedAt)],
      ["ended", sinceText(job.finishedAt)],
    ]),
    ...job.warnings.map((warning) => `warning: ${safeText(warning)}`),
    ...job.outputs.map(({ id, filename, mediaType, bytes }) =>
      safeText(`output  ${id}  ${filename ?? "text"}  ${mediaType}, ${bytes} bytes`),
    ),
  ];
}

export function batchLines(batch: BatchDetail): string[] {
  return [
    ...factsOf([
      ["batch", batch.id],
      ["name", batch.name],
      ["state", doingText(batch)],
      ["left", remainingText(batch)],
      ["project", batch.project],
      ["submitted", sinceText(batch.createdAt)],
    ]),
    ...batch.firstErrors.map(({ index, jobId, failure }) =>
      safeText(`job ${index} (${jobId}): ${failure?.message ?? "has not completed"}`),
    ),
  ];
}

/** A job of the batch that waits, for what holds up one holds up most of them. */
async function firstWaiting(
  batch: string,
  { client, signal }: CommandContext,
): Promise<JobDetail | undefined> {
  const query = { batch, status: ["queued" as const], limit: 1 };
  const { data } = await client.http.GET("/api/anime/jobs", { params: { query }, signal });
  const [job] = data?.jobs ?? [];
  return job === undefined ? undefined : client.job(job.id, { signal });
}

function reasonLines(thing: JobDetail | BatchDetail, first?: JobDetail): string[] {
  if (isBatch(thing)) {
    const reason = first === undefined ? [] : [`${first.id} waits: ${safeText(doingText(first))}`];
    return [...batchLines(thing), ...reason];
  }
  const { waitingFor, failure, etaReason } = thing;
  const lines = [doingText(thing)];
  if (waitingFor !== null) {
    const { jobsBefore, hasMoreBefore, until, missing } = waitingFor;
    if (jobsBefore > 0)
      lines.push(`${hasMoreBefore ? "more than " : ""}${jobsBefore} of your jobs come before it`);
    if (until !== null) lines.push(`until ${until} (${sinceText(until) ?? ""})`);
    for (const name of missing) lines.push(`missing: ${name}`);
  }
  for (const { jobId, status, isMet } of thing.dependsOn)
    if (!isMet) lines.push(`needs ${jobId}, which is ${status}`);
  if (failure !== null && failure.nodeId !== null)
    lines.push(`at node ${failure.nodeId}${failure.nodeType === null ? "" : ` (${failure.nodeType})`}`);
  const left = remainingText(thing);
  if (left !== "") lines.push(left);
  else if (etaReason !== null && etaReason.code !== "ended") lines.push(etaReason.message);
  return lines.map(safeText);
}
