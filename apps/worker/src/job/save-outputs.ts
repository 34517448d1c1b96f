import { ComfyUIError, type HistoryEntry } from "@genga/comfyui";
import { type NewOutput, type OutputStorage } from "@genga/jobs";
import { outputOptionsOf } from "@genga/workflows";
import { StoragePatience, type StoragePatienceOptions } from "../files/storage-patience.ts";
import { storeOutputs } from "../files/store-outputs.ts";
import { type JobServer } from "./job-server.ts";
import { type ProgressWriter } from "./progress-writer.ts";
import { type Run } from "./run.ts";
import { requireAnswers, unreadableResult } from "./unreadable-result.ts";

export interface SaveOutputsOptions {
  storage: OutputStorage;
  progress: ProgressWriter;
  /** How long a file is waited for that the server does not serve. */
  graceMs: number;
  storageWatch: StoragePatienceOptions["watch"];
  /** How long a job waits for a storage that cannot be used. */
  storageGraceMs: number;
}

/**
 * Saves the outputs of a finished prompt. If the server answers checks but does not serve a file within `graceMs`, the
 * job fails, since rendering it again would not help. While the storage cannot be used at all, its files are waited for on the
 * server.
 * @throws RunStopped
 * @throws SavingCancelled
 * @throws ComfyUIError
 * @throws StorageError the stored files are removed again
 */
export async function saveOutputs(
  run: Run,
  server: JobServer,
  history: HistoryEntry,
  { storage, progress, graceMs, storageWatch, storageGraceMs }: SaveOutputsOptions,
): Promise<NewOutput[]> {
  progress.report(run, "saving", run.progress);
  const asked = outputOptionsOf(run.leased.parameters);
  const wanted = {
    // A client of ComfyUI's protocol may ask for any file that its server has named.
    keepPreviews: asked.keepPreviews || run.leased.door !== null,
    stripMetadata: asked.stripMetadata || run.hasUnknownSecrets,
  };
  const { connector } = server;
  const { leased: lease, names, stopSignal: signal } = run;
  const patience = new StoragePatience({
    ...{ watch: storageWatch, storageGraceMs, signal, cancelSignal: run.cancelSignal },
  });
  const store = async (patienceMs: number): Promise<NewOutput[] | ComfyUIError> => {
    try {
      return await storeOutputs({
        ...{ connector, storage, lease, history, wanted, names },
        shownText: (text) => run.shownText(text),
        ...{ mayMiss: run.leased.door !== null, graceMs: patienceMs, patience, signal },
      });
    } catch (error) {
      signal.throwIfAborted();
      const isServersFault = error instanceof ComfyUIError && error.errorClass === "server";
      if (!isServersFault || error.code === "connector_closed") throw error;
      await requireAnswers(server, signal);
      return error;
    }
  };
  const first = await store(graceMs);
  // The server may have become available only for the check, so the files are requested once more.
  const outputs = first instanceof ComfyUIError ? await store(0) : first;
  if (outputs instanceof ComfyUIError) throw unreadableResult(outputs);
  return outputs;
}
