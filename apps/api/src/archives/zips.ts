import { once } from "node:events";
import { type OutputFilter, type OutputStorage, type TenantJobReader } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type Response } from "express";
import { RefusedError } from "../http/problem-document.ts";
import { requestIdOf } from "../http/request-log.ts";
import { type StallLimit } from "../http/stall-limit.ts";
import { type NameTemplate } from "./name-template.ts";
import { zipFilesMax, zipOfOutputs } from "./outputs-zip.ts";
import { ZipPlaces } from "./zip-places.ts";

const chunkBytesMin = 32 * 1024;

export interface ZipsParts {
  storage: OutputStorage;
  /** The folder of temporary files. */
  folder: string;
  log: Logger;
  stallLimit: StallLimit;
}

/** Which outputs a zip has, and how their files are named. */
export interface WantedZip {
  jobs: TenantJobReader;
  filter: OutputFilter;
  names: NameTemplate;
  /** Of the answer. */
  headers: Readonly<Record<string, string>>;
}

/** Sends outputs as zips. */
export class Zips {
  readonly #parts: ZipsParts;
  /** Whoever sends a zip holds one of these from before its first check. */
  readonly places = new ZipPlaces();

  constructor(parts: ZipsParts) {
    this.#parts = parts;
  }

  /** @throws RefusedError `too-many-outputs` */
  async assertPossible({ jobs, filter }: Pick<WantedZip, "jobs" | "filter">): Promise<void> {
    if ((await jobs.countOutputs(filter, zipFilesMax)) > zipFilesMax) {
      throw new RefusedError(
        "too-many-outputs",
        `These jobs have more than ${zipFilesMax} outputs. Ask for fewer: by batch, project, scene, shot or tag.`,
      );
    }
  }

  /**
   * Sends the zip as the answer, at the pace of the client, which may not stop to read. If it cannot be sent whole, the connection is cut: the client then
   * sees that the answer is incomplete, and the log says why.
   * @param leftOrStopping aborted when the client has left, or the process stops
   */
  async send(
    response: Response,
    { jobs, filter, names, headers }: WantedZip,
    leftOrStopping: AbortSignal,
  ): Promise<void> {
    const { storage, folder, log, stallLimit } = this.#parts;
    const signal = AbortSignal.any([leftOrStopping, stallLimit.watch(response)]);
    const content = zipOfOutputs(filter, names, { jobs, storage, folder }, signal);
    try {
      // What fails before the first bytes is answered with a problem document.
      const first = await content.next();
      response.set(headers).flushHeaders();
      for await (const chunk of inLargerChunks(first, content)) {
        signal.throwIfAborted();
        if (!response.write(chunk)) await once(response, "drain", { signal });
      }
      response.end();
    } catch (error) {
      if (!response.headersSent && !signal.aborted) throw error;
      if (!signal.aborted)
        log.error({ err: error, requestId: requestIdOf(response) }, "a zip of outputs was broken off");
      response.destroy();
    } finally {
      await content.return(undefined).catch(() => undefined);
    }
  }
}

/** Of many small files, each header would be a packet of its own. */
async function* inLargerChunks(
  first: IteratorResult<Buffer, void>,
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  let pending = first.done === true ? [] : [first.value];
  let bytes = pending[0]?.length ?? 0;
  for await (const chunk of rest) {
    pending.push(chunk);
    bytes += chunk.length;
    if (bytes < chunkBytesMin) continue;
    yield pending.length === 1 ? chunk : Buffer.concat(pending);
    [pending, bytes] = [[], 0];
  }
  if (bytes > 0) yield Buffer.concat(pending);
}
