import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type BatchDetail, type JobDetail } from "@genga/client";
import { type Command } from "commander";
import { type CommandContext, contextOf, type Surroundings } from "../command-context.ts";
import { fetchFile, type FetchedFile } from "../files/fetch-file.ts";
import { defaultNames, folded, nameFields, NameTemplate } from "../files/file-names.ts";
import { exitCodes, UsageError } from "../terminal/exit-codes.ts";
import { safeText } from "../terminal/safe-text.ts";
import { jobsOf, thingOf } from "../following/things.ts";

interface Options {
  readonly output: string;
  readonly names: string;
  readonly zip?: string;
}

interface Fetched extends FetchedFile {
  readonly outputId: string;
  readonly jobId: string;
  readonly bytes: number;
  readonly sha256: string;
}

export function addGet(program: Command, surroundings: Surroundings): void {
  program
    .command("get")
    .description("download the outputs of jobs and batches")
    .argument("<ids...>", "of jobs or batches")
    .option("-o, --output <folder>", "where to", ".")
    .option("--names <template>", "of the files, with folders", defaultNames)
    .option("--zip <file>", "one batch as a zip, with a manifest of how each file was made")
    .addHelpText("after", help)
    .action(async (ids: string[], options: Options, command: Command) => {
      const context = await contextOf(command, surroundings);
      const areAllCompleted = await (options.zip === undefined ? getFiles : getZip)(ids, options, context);
      if (!areAllCompleted) surroundings.exitWith(exitCodes.notCompleted);
    });
}

/** @returns whether every job has completed */
async function getFiles(ids: readonly string[], options: Options, context: CommandContext): Promise<boolean> {
  const { client, terminal, signal } = context;
  const names = new NameTemplate(options.names);
  const taken = new Set<string>();
  const mayTake = (path: string): boolean => !taken.has(folded(path)) && taken.add(folded(path)).size > 0;
  const fetched: Fetched[] = [];
  let areAllCompleted = true;
  for (const id of ids) {
    for await (const job of jobsWithOutputs(await thingOf(id, context), context)) {
      if (job.status !== "completed") {
        areAllCompleted = false;
        terminal.note(`${job.id} is ${job.status}${job.failure === null ? "" : `: ${job.failure.message}`}`);
      }
      for (const output of job.outputs) {
        const path = resolve(options.output, names.pathOf(job, output));
        const file = await fetchFile(client, output, { path, mayTake, signal });
        const { id: outputId, bytes, sha256 } = output;
        fetched.push({ outputId, jobId: job.id, ...file, bytes, sha256 });
        if (!terminal.isJson) terminal.line(safeText(file.path));
        if (file.wasThere) terminal.note("  it was there already");
      }
    }
  }
  if (terminal.isJson) terminal.json({ files: fetched });
  return areAllCompleted;
}

async function* jobsWithOutputs(
  thing: JobDetail | BatchDetail,
  context: CommandContext,
): AsyncGenerator<JobDetail> {
  if (!("counts" in thing)) {
    yield thing;
    return;
  }
  for await (const { id } of jobsOf(thing.id, context))
    yield await context.client.job(id, { signal: context.signal });
}

/** @returns whether every job of the batch has completed */
async function getZip(ids: readonly string[], options: Options, context: CommandContext): Promise<boolean> {
  const { client, terminal, signal } = context;
  const { zip: to = "-", names } = options;
  const [id] = ids;
  if (id === undefined || ids.length > 1) throw new UsageError("--zip takes the id of one batch.");
  const batch = await client.batch(id, { signal });
  const content = await client.zip(id, { signal, ...(names !== defaultNames && { names }) });
  if (to === "-") await pipeline(content, process.stdout);
  else {
    const path = resolve(options.output, to);
    const part = `${path}.${randomUUID().slice(0, 8)}.part`;
    try {
      await pipeline(content, createWriteStream(part, { flags: "wx" }));
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    terminal.result({ path }, () => [safeText(to)]);
  }
  return batch.counts.completed === batch.total;
}

const help = `
Fields of --names: ${Object.keys(nameFields).join(", ")}.
A file has its name only when it is whole and its SHA-256 is right. What an interrupted download left (.part) is gone on with,
files that are there are not fetched again, and no other file is replaced: the new one gets a number. The zip has the API's fields of
names, which are more (seed, batch).

Examples:
  genga get 0199a7b2-…
  genga get 0199a7b2-… -o renders --names '{project}/{shot}/{index}-{name}.{ext}'
  genga get 0199a7b2-… --zip scene-4.zip`;
