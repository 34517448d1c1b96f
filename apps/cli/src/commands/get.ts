import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type JobDetail } from "@genga/client";
import { type Command } from "commander";
import { type CommandContext, contextOf, type Surroundings } from "../command-context.ts";
import { fetchFile, type FetchedFile } from "../files/fetch-file.ts";
import { defaultNames, nameFields, NameTemplate } from "../files/file-names.ts";
import { takeFreeName } from "../files/take-name.ts";
import { isBatch } from "../following/states.ts";
import { jobsOf, thingOf } from "../following/things.ts";
import { exitCodes, UsageError } from "../terminal/exit-codes.ts";
import { explain, isGone } from "../terminal/explain.ts";
import { safeText } from "../terminal/safe-text.ts";

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
      surroundings.exitWith(await (options.zip === undefined ? getFiles : getZip)(ids, options, context));
    });
}

/** @returns the exit code */
async function getFiles(ids: readonly string[], options: Options, context: CommandContext): Promise<number> {
  const { client, terminal, signal } = context;
  const names = new NameTemplate(options.names);
  const taken = new Set<string>();
  const fetched: Fetched[] = [];
  let areAllCompleted = true;
  let code: number = exitCodes.ok;
  const skipGone: SkipGone = (error) => {
    if (!isGone(error)) throw error;
    code = explain(error, terminal);
  };
  try {
    for await (const job of eachJob(ids, context, skipGone)) {
      if (job.status !== "completed") {
        areAllCompleted = false;
        terminal.note(`${job.id} is ${job.status}${job.failure === null ? "" : `: ${job.failure.message}`}`);
      }
      for (const output of job.outputs) {
        const path = resolve(options.output, names.pathOf(job, output));
        const file = await fetchFile(client, output, { path, taken, signal }).catch(skipGone);
        if (file === undefined) continue;
        const { id: outputId, bytes, sha256 } = output;
        fetched.push({ outputId, jobId: job.id, ...file, bytes, sha256 });
        if (!terminal.isJson) terminal.line(safeText(file.path));
        if (file.wasThere) terminal.note("  it was there already");
      }
    }
  } finally {
    // Also after a failure: these files are there.
    if (terminal.isJson) terminal.json({ files: fetched });
  }
  return code === exitCodes.ok && !areAllCompleted ? exitCodes.notCompleted : code;
}

/** Tells what was removed, perhaps meanwhile, so that the rest is fetched. @throws any other error */
type SkipGone = (error: unknown) => undefined;

/** Each job once, however often it is named. */
async function* eachJob(
  ids: readonly string[],
  context: CommandContext,
  skipGone: SkipGone,
): AsyncGenerator<JobDetail> {
  const { client, signal } = context;
  const seen = new Set<string>();
  for (const id of ids) {
    const thing = await thingOf(id, context).catch(skipGone);
    if (thing === undefined) continue;
    if (!isBatch(thing)) {
      if (!seen.has(thing.id)) yield thing;
      seen.add(thing.id);
      continue;
    }
    for await (const { id: jobId } of jobsOf(thing.id, context)) {
      if (seen.has(jobId)) continue;
      seen.add(jobId);
      const job = await client.job(jobId, { signal }).catch(skipGone);
      if (job !== undefined) yield job;
    }
  }
}

/** @returns the exit code */
async function getZip(ids: readonly string[], options: Options, context: CommandContext): Promise<number> {
  const { client, terminal, signal } = context;
  const { zip: to = "-", names } = options;
  const [id] = ids;
  if (id === undefined || ids.length > 1) throw new UsageError("--zip takes the id of one batch.");
  const batch = await client.batch(id, { signal });
  const path = resolve(options.output, to);
  if (to !== "-") await mkdir(dirname(path), { recursive: true });
  const content = await client.zip(id, { signal, ...(names !== defaultNames && { names }) });
  if (to === "-") await pipeline(content, process.stdout);
  else {
    const part = `${path}.${randomUUID().slice(0, 8)}.part`;
    try {
      await pipeline(content, createWriteStream(part, { flags: "wx" }));
      const taken = await takeFreeName(part, path);
      terminal.result({ path: taken }, () => [safeText(taken)]);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }
  return batch.counts.completed === batch.total ? exitCodes.ok : exitCodes.notCompleted;
}

const help = `
Fields of --names: ${Object.keys(nameFields).join(", ")}.
A file has its name only when it is whole and its SHA-256 is right. What an interrupted download left (.part) is gone on with,
files that are there are not fetched again, and no other file is replaced: the new one, also a zip, gets a number. The zip has the API's fields of
names, which are more (seed, batch).

Examples:
  genga get 0199a7b2-…
  genga get 0199a7b2-… -o renders --names '{project}/{shot}/{index}-{name}.{ext}'
  genga get 0199a7b2-… --zip scene-4.zip`;
