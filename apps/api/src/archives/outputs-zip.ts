import { createHash } from "node:crypto";
import {
  type JobOutput,
  type MadeJob,
  type OutputFilter,
  type OutputStorage,
  type TenantJobReader,
} from "@genga/jobs";
import { factsOf } from "./graph-facts.ts";
import { Manifest } from "./manifest.ts";
import { manifestName, type NameTemplate } from "./name-template.ts";
import { UniquePaths } from "./safe-names.ts";
import { Spool } from "./spool.ts";
import { zipOf, type ZipEntry } from "./zip-stream.ts";

/** The files of one zip: what is remembered of each takes about 100 bytes of memory. */
export const zipFilesMax = 250_000;

/** A file is not what it was when it was stored, or is not there any more. */
class BrokenOutputError extends Error {
  override readonly name = "BrokenOutputError";
}

export interface ZipParts {
  jobs: TenantJobReader;
  storage: OutputStorage;
  /** The folder of temporary files. */
  folder: string;
}

/**
 * The outputs of these jobs as a zip, with the manifest as its last entry. Reads one file after the other, and no faster than
 * the zip is read. It fails when a file is not there, or is not what was stored.
 * @param signal ends all reading at once
 */
export async function* zipOfOutputs(
  filter: OutputFilter,
  names: NameTemplate,
  parts: ZipParts,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const spools: Spool[] = [];
  const openSpool = async (): Promise<Spool> => {
    const spool = await Spool.open(parts.folder);
    spools.push(spool);
    return spool;
  };
  try {
    const directory = await openSpool();
    const manifest = await Manifest.open(openSpool);
    yield* zipOf(entriesOf(filter, names, manifest, parts, signal), directory);
  } finally {
    await Promise.all(spools.map((spool) => spool.close()));
  }
}

async function* entriesOf(
  filter: OutputFilter,
  names: NameTemplate,
  manifest: Manifest,
  { jobs, storage }: ZipParts,
  signal: AbortSignal,
): AsyncGenerator<ZipEntry> {
  const paths = new UniquePaths([manifestName]);
  for await (const job of jobs.readMadeJobs(filter)) {
    const facts = factsOf(job);
    await manifest.addJob(job);
    for (const output of job.outputs) {
      signal.throwIfAborted();
      const name = names.pathOf({ job, output, ...facts }, paths);
      await manifest.addFile(name, output, job, facts);
      yield {
        ...{ name, modifiedAt: output.createdAt, bytes: output.bytes },
        content: contentOf(output, job, { jobs, storage }, signal),
      };
    }
  }
  yield { name: manifestName, modifiedAt: new Date(), content: manifest.read(), isDeflated: true };
}

async function* contentOf(
  output: Omit<JobOutput, "text">,
  job: MadeJob,
  { jobs, storage }: Pick<ZipParts, "jobs" | "storage">,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { storageKey } = output;
  if (storageKey === null) {
    const text = (await jobs.findOutput(output.id))?.text;
    if (text === undefined || text === null) throw broken(output, job, "was removed meanwhile");
    yield Buffer.from(text);
    return;
  }
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of await storage.read(storageKey, undefined, signal)) {
    if (!Buffer.isBuffer(chunk)) throw new Error("The storage gave something that is not bytes.");
    hash.update(chunk);
    bytes += chunk.length;
    // A file that is too long is not sent on.
    if (bytes > output.bytes) break;
    yield chunk;
  }
  if (bytes !== output.bytes)
    throw broken(output, job, `does not have the ${output.bytes} bytes that were stored`);
  if (hash.digest("hex") !== output.sha256) throw broken(output, job, "has other content than was stored");
}

function broken({ id }: Pick<JobOutput, "id">, job: MadeJob, what: string): BrokenOutputError {
  return new BrokenOutputError(`The file of output ${id} of job ${job.id} ${what}.`);
}
