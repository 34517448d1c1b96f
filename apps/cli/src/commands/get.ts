import { createWriteStream } from "node:fs";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type BatchDetail, type JobDetail, type Output } from "@genga/client";
import { type Command } from "commander";
import { type CommandContext, contextOf, type Surroundings } from "../command-context.ts";
import { fetchFile } from "../files/fetch-file.ts";
import { defaultNames, DistinctPaths, nameFields, pathOf } from "../files/file-names.ts";
import { exitCodes, UsageError } from "../terminal/exit-codes.ts";
import { safeText } from "../terminal/safe-text.ts";
import { jobsOf, thingOf } from "./things.ts";

interface Options {
  readonly output: string;
  readonly names: string;
  readonly zip?: string;
}

interface Fetched {
  readonly outputId: string;
  readonly jobId: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly wasThere: boolean;
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
      if (options.zip !== undefined) await getZip(ids, options.zip, context);
      else if (!(await getFiles(ids, options, context))) surroundings.exitWith(exitCodes.notCompleted);
    });
}

/** @returns whether every job has completed */
async function getFiles(ids: readonly string[], options: Options, context: CommandContext): Promise<boolean> {
  const { terminal } = context;
  const folder = resolve(options.output);
  const paths = new DistinctPaths();
  const fetched: Fetched[] = [];
  let areAllCompleted = true;
  for (const id of ids) {
    for await (const job of jobsWithOutputs(await thingOf(id, context), context)) {
      if (job.status !== "completed") {
        areAllCompleted = false;
        terminal.note(`${job.id} is ${job.status}${job.failure === null ? "" : `: ${job.failure.message}`}`);
      }
      for (const output of job.outputs) {
        const one = await fetchOne(
          job,
          output,
          resolve(folder, paths.take(pathOf(options.names, job, output))),
          context,
        );
        fetched.push(one);
        if (!terminal.isJson) terminal.line(safeText(one.path));
        if (one.wasThere) terminal.note("  it was there already");
      }
    }
  }
  if (terminal.isJson) terminal.json({ files: fetched });
  return areAllCompleted;
}

async function fetchOne(
  job: JobDetail,
  output: Output,
  path: string,
  { client, signal }: CommandContext,
): Promise<Fetched> {
  const { wasThere } = await fetchFile(client, output, path, signal);
  return { outputId: output.id, jobId: job.id, path, bytes: output.bytes, sha256: output.sha256, wasThere };
}

async function* jobsWithOutputs(
  thing: JobDetail | BatchDetail,
  context: CommandContext,
): AsyncGenerator<JobDetail> {
  if (!("counts" in thing)) {
    yield thing;
    return;
  }
  for await (const job of jobsOf({ batch: thing.id }, context))
    yield await context.client.job(job.id, { signal: context.signal });
}

async function getZip(
  ids: readonly string[],
  path: string,
  { client, terminal, signal }: CommandContext,
): Promise<void> {
  const [id] = ids;
  if (id === undefined || ids.length > 1) throw new UsageError("--zip takes the id of one batch.");
  const content = await client.zip(id, { signal });
  if (path === "-") await pipeline(content, process.stdout);
  else {
    await pipeline(content, createWriteStream(path));
    terminal.result({ path: resolve(path) }, () => [safeText(path)]);
  }
}

const help = `
Fields of --names: ${Object.keys(nameFields).join(", ")}.
A file has its name only when it is whole and its SHA-256 is right. What an interrupted download left (.part) is gone on with,
and files that are there are not fetched again.

Examples:
  genga get 0199a7b2-…
  genga get 0199a7b2-… -o renders --names '{project}/{shot}/{index}-{name}.{ext}'
  genga get 0199a7b2-… --zip scene-4.zip`;
