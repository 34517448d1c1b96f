import { buffer } from "node:stream/consumers";
import {
  type DoorClients,
  type DoorPrompts,
  type EndedDoorPrompt,
  type JobReader,
  type OutputStorage,
  StorageError,
} from "@genga/jobs";
import { DoorSockets, type DoorSocketsParts } from "./door-sockets.ts";
import { EndTeller, type StoredPicture } from "./end-teller.ts";

export interface DoorSocketsOptions extends Omit<DoorSocketsParts, "endTeller" | "prompts" | "clients"> {
  prompts: Pick<DoorPrompts, "findByJobs" | "findEndedJobs">;
  clients: DoorClients;
  /** What `GET /history` shows of the prompt, without its graph. */
  endingOf: (prompt: EndedDoorPrompt) => Promise<string>;
  jobs: JobReader;
  storage: Pick<OutputStorage, "read">;
}

const pictureFormats: Readonly<Record<string, "jpeg" | "png">> = { "image/jpeg": "jpeg", "image/png": "png" };

/** The door's WebSockets. Connects to Redis when the first client comes. */
export function createDoorSockets(options: DoorSocketsOptions): DoorSockets {
  const { prompts, endingOf } = options;
  const endTeller = new EndTeller({
    readEnds: async (tenantId, jobIds) => {
      const ended = await prompts.findEndedJobs(tenantId, jobIds);
      const entries = await Promise.all(
        ended.map((prompt) => (prompt.isShown ? endingOf(prompt) : Promise.resolve(null))),
      );
      return new Map(
        ended.map(({ jobId, attempt }, index) => [jobId, { attempt, entry: entries[index] ?? null }]),
      );
    },
    readPictures: (tenantId, jobId, node) => readPictures(options, { tenantId, jobId, node }),
  });
  return new DoorSockets({ ...options, endTeller });
}

/** A picture that is lost is left out: without it, its client would never hear of the end. */
async function* readPictures(
  { jobs, storage, log }: Pick<DoorSocketsOptions, "jobs" | "storage" | "log">,
  { tenantId, jobId, node }: { tenantId: string; jobId: string; node: string },
): AsyncGenerator<StoredPicture> {
  const outputs = await jobs.of(tenantId).listOutputs(jobId);
  for (const { nodeId, storageKey, mediaType } of outputs.toSorted((one, other) => one.index - other.index)) {
    const format = pictureFormats[mediaType];
    if (nodeId !== node || storageKey === null || format === undefined) continue;
    const bytes = await unlessLost(storage, storageKey);
    if (bytes === null)
      log.warn({ jobId, nodeId, storageKey }, "A picture for a client of ComfyUI's protocol is lost.");
    else yield { format, bytes };
  }
}

async function unlessLost(storage: Pick<OutputStorage, "read">, storageKey: string): Promise<Buffer | null> {
  try {
    return await buffer(await storage.read(storageKey));
  } catch (error) {
    if (error instanceof StorageError && error.code === "output-missing") return null;
    throw error;
  }
}
