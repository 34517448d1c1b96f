import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIError, prepareForSubmission, type Workflow, wrapLists } from "@genga/comfyui";
import { type OutputStorage } from "@genga/jobs";
import { type OwnedServer } from "../servers/owned-server.ts";
import { stumbled } from "./refusal.ts";
import { type Run, RunStopped } from "./run.ts";
import { sendUploads } from "../files/send-uploads.ts";

export interface LookOptions {
  /** So long may a POST be on its way. */
  postTimeoutMs: number;
  /** So long may the server fail to say whether the prompt is there. */
  graceMs: number;
}

/** Posts the prompt, once. `false` = it is certainly not there. */
export async function submitPrompt(
  run: Run,
  server: OwnedServer,
  options: LookOptions & { storage: OutputStorage },
): Promise<boolean> {
  const { postTimeoutMs } = options;
  const { connector } = server;
  // What cannot be decrypted ends the attempt before anything is sent.
  const { extraData } = run;
  const withUploads = await sendUploads(run.workflow, {
    connector,
    storage: options.storage,
    names: run.names,
    signal: run.stopSignal,
  });
  // A graph that was accepted while no server was known has its lists as they were sent.
  const withLists = wrapLists(withUploads, server.definitions?.objectInfo ?? {}).workflow;
  const workflow = prepareForSubmission(withLists, {
    prefix: run.names.outputPrefix,
    objectInfo: server.definitions?.objectInfo ?? {},
  });
  await connector.connect({ signal: run.stopSignal, timeoutMs: postTimeoutMs });
  if (run.cancelSignal.aborted) return false;
  // The prompt id is in the row since the claim. With so much of the lease left, no POST can outlive it; a successor
  // who looks after the lease's end sees what there will ever be.
  if (run.lease.leftMs() < postTimeoutMs) throw new RunStopped("lease-lost");
  run.mayStillArrive = true;
  server.notePost(run);
  const { disconnects } = connector.counters;
  const reply = await post(run, server, { workflow, extraData }, postTimeoutMs);
  const isRefusal = reply instanceof ComfyUIError;
  let isThere = reply === "accepted";
  try {
    isThere ||= await lookForSubmitted(run, server, options);
  } finally {
    // Both connections broke while the prompt was being accepted: the server may have begun it, and died of it.
    const mayHaveDied = reply === "broken" && connector.counters.disconnects > disconnects;
    run.wasSent = isThere || mayHaveDied;
  }
  run.mayStillArrive = false;
  if (!isThere && isRefusal) throw reply;
  return isThere;
}

/**
 * `broken`, `unknown`: it went out, and what became of it is not known. An error: the server stumbled over it, which is a
 * refusal unless the prompt is found there.
 */
async function post(
  run: Run,
  server: OwnedServer,
  what: { workflow: Workflow; extraData: Record<string, unknown> },
  postTimeoutMs: number,
): Promise<"accepted" | "broken" | "unknown" | ComfyUIError> {
  // Bounds reconnecting and POST together; firing in mid-request makes the outcome unknown.
  const deadline = AbortSignal.timeout(postTimeoutMs);
  const { promptId, clientId } = run.leased;
  const { workflow, extraData } = what;
  const beside = Object.keys(extraData).length > 0 && { extraData };
  try {
    await server.connector.submit({ promptId, clientId, workflow, ...beside, signal: deadline });
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
  if (cause.httpStatus === 500) return stumbled(cause);
  return cause.code === "connection_lost" ? "broken" : "unknown";
}

/**
 * The POST got no reply, or its sender is gone: it is never sent again, but looked for until it cannot arrive any more.
 * The time runs from the first answer, since a server that was frozen may still find the request waiting when it thaws.
 * @throws RunStopped @throws ComfyUIError it was there, and what became of it cannot be read
 */
export async function lookForSubmitted(
  run: Run,
  server: OwnedServer,
  { postTimeoutMs, graceMs }: LookOptions,
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
        await server.confirmUnreadable(run.leased.promptId, run.stopSignal);
        failingSince = null;
      }
    }
    await sleep(Math.min(500, postTimeoutMs / 10), undefined, { signal: run.stopSignal });
  }
}
