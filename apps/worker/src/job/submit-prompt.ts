import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIError, prepareForSubmission, type Workflow, wrapLists } from "@genga/comfyui";
import { type OutputStorage } from "@genga/jobs";
import { fileOfInput } from "../files/input-files.ts";
import { StoragePatience, type StoragePatienceOptions } from "../files/storage-patience.ts";
import { sendUploads } from "../files/send-uploads.ts";
import { type JobServer } from "./job-server.ts";
import { unexplainedRefusal } from "./refusal.ts";
import { type Run, RunStopped } from "./run.ts";
import { SendingTime } from "./sending-time.ts";
import { confirmUnreadable } from "./unreadable-result.ts";

export interface LookupOptions {
  /** How long a POST may be on its way. */
  postTimeoutMs: number;
  /** How long the server may fail to say whether it has the prompt. */
  graceMs: number;
}

export interface SubmitOptions extends LookupOptions {
  storage: OutputStorage;
  storageWatch: StoragePatienceOptions["watch"];
  /** How long a job waits for a storage that cannot be used. */
  storageGraceMs: number;
  /**
   * The way in which the server shall make previews of this prompt, unless the job says it. Most servers send none unless they are
   * asked.
   */
  previewMethod: string;
}

/**
 * Posts the prompt, once, unless before that the job is cancelled or its queue deadline passes.
 * @returns whether the prompt is on the server; `false` is certain
 * @throws RunStopped @throws ComfyUIError @throws StorageError @throws ExtraDataError @throws DependencyOutputError
 */
export async function submitPrompt(run: Run, server: JobServer, options: SubmitOptions): Promise<boolean> {
  const { postTimeoutMs } = options;
  const { connector } = server;
  const time = new SendingTime(run);
  let prompt: PreparedPrompt;
  try {
    time.overSignal.throwIfAborted();
    prompt = await preparePrompt(run, server, options, time.signal);
    // The claim has stored the prompt id. With so much of the lease left, the POST cannot outlive it: when a
    // successor looks the prompt up after the lease's end, the prompt has arrived or never will. After a slow claim or slow
    // uploads, the heartbeat soon renews the lease, or stops this run.
    const limits = { stopSignal: run.stopSignal, cancelSignal: time.overSignal };
    const isLeftEnough = await run.lease.untilLeft(postTimeoutMs, limits);
    time.overSignal.throwIfAborted();
    if (!isLeftEnough) throw new RunStopped("lease-lost");
  } catch (error) {
    run.stopSignal.throwIfAborted();
    if (time.overSignal.aborted) return false;
    throw error;
  } finally {
    time.dispose();
  }
  run.mayStillArrive = true;
  server.notePost(run);
  const { disconnects } = connector.counters;
  const reply = await post(run, server, prompt, postTimeoutMs);
  const isRefusal = reply instanceof ComfyUIError;
  let isThere = reply === "accepted";
  if (isThere) server.noteAccepted(run);
  try {
    isThere ||= await lookUpSubmitted(run, server, options);
  } finally {
    // Both connections broke during the POST: the server may have begun to execute the prompt, and crashed of it.
    const mayHaveDied = reply === "broken" && connector.counters.disconnects > disconnects;
    run.wasSent = isThere || mayHaveDied;
  }
  run.mayStillArrive = false;
  if (!isThere && isRefusal) throw reply;
  return isThere;
}

interface PreparedPrompt {
  workflow: Workflow;
  extraData: Record<string, unknown>;
}

/** Sends the files of the job, makes its graph ready for this server, and opens the socket. */
async function preparePrompt(
  run: Run,
  server: JobServer,
  { storage, storageWatch, storageGraceMs, previewMethod, postTimeoutMs }: SubmitOptions,
  signal: AbortSignal,
): Promise<PreparedPrompt> {
  const { connector } = server;
  // Decrypted before anything is sent: if that fails, the attempt ends here.
  // The client's own choice of previews comes last. Versions that do not know the key ignore it (PROTOCOL-0.28 1).
  const extraData = { preview_method: previewMethod, ...run.extraData };
  const inputs = new Map(
    run.leased.inputs.map((input) => [input.name, fileOfInput(input, server.uploadBytesMax)]),
  );
  const limits = { watch: storageWatch, storageGraceMs, signal, cancelSignal: run.cancelSignal };
  const patience = new StoragePatience(limits);
  const sending = { inputs, connector, storage, patience, names: run.names, signal };
  const withUploads = await sendUploads(run.workflow, sending);
  const objectInfo = server.definitions?.objectInfo ?? {};
  // A graph that was accepted while no server was known still has lists that servers would take for links.
  const workflow = prepareForSubmission(wrapLists(withUploads, objectInfo).workflow, {
    ...{ prefix: run.names.outputPrefix, objectInfo, resultsOf: run.resultsOf },
  });
  await connector.connect({ signal, timeoutMs: postTimeoutMs });
  return { workflow, extraData };
}

/**
 * @returns `broken`, `unknown`: the POST went out, and whether the server has the prompt is not known; an error: the server
 * answered 500, which is a refusal unless the prompt is found on the server
 */
async function post(
  run: Run,
  server: JobServer,
  prompt: PreparedPrompt,
  postTimeoutMs: number,
): Promise<"accepted" | "broken" | "unknown" | ComfyUIError> {
  // One deadline for reconnecting and the POST together. If it passes during the request, the outcome is unknown.
  const deadline = AbortSignal.timeout(postTimeoutMs);
  const { promptId, clientId, door } = run.leased;
  const sent = { promptId, clientId, ...prompt, targets: door?.targets ?? undefined, relay: run.relay };
  try {
    await server.connector.submit({ ...sent, signal: deadline });
    return "accepted";
  } catch (error) {
    if (error instanceof ComfyUIError && error.retry === "look_first") return outcomeOf(error);
    run.mayStillArrive = false;
    if (error !== deadline.reason) throw error;
    throw new ComfyUIError("server_unreachable", "The WebSocket did not open in time.", { cause: error });
  }
}

function outcomeOf({ cause }: ComfyUIError): "broken" | "unknown" | ComfyUIError {
  if (!(cause instanceof ComfyUIError)) return "unknown";
  // A proxy that cannot reach its server says 502 to 504; 500 is the server's own.
  if (cause.httpStatus === 500) return unexplainedRefusal(cause);
  return cause.code === "connection_lost" ? "broken" : "unknown";
}

/**
 * For a POST that got no reply, or whose sender is gone. The prompt is never sent again; it is looked up until it cannot
 * arrive any more. The time runs from the first lookup that the server answers, since a server that stood still may find
 * the request waiting when it goes on.
 * @returns whether the prompt is on the server
 * @throws RunStopped @throws ComfyUIError the prompt is there, and what became of it cannot be read
 */
export async function lookUpSubmitted(
  run: Run,
  server: JobServer,
  { postTimeoutMs, graceMs }: LookupOptions,
): Promise<boolean> {
  let answeredSince: number | null = null;
  let failingSince: number | null = null;
  for (;;) {
    const now = performance.now();
    try {
      const lookup = await server.connector.lookup(run.leased.promptId, { signal: run.stopSignal });
      if (lookup.state !== "absent") return true;
      failingSince = null;
      answeredSince ??= performance.now();
      if (performance.now() - answeredSince >= postTimeoutMs) return false;
    } catch (error) {
      run.stopSignal.throwIfAborted();
      if (!(error instanceof ComfyUIError) || error.code === "connector_closed") throw error;
      server.noteDoubt(error);
      failingSince ??= now;
      if (performance.now() - failingSince >= graceMs) {
        await confirmUnreadable(server, run.promptId, run.stopSignal);
        failingSince = null;
      }
    }
    await sleep(Math.min(500, postTimeoutMs / 10), undefined, { signal: run.stopSignal });
  }
}
