import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIError } from "@genga/comfyui";
import { type JobServer } from "./job-server.ts";
import { RunStopped } from "./run.ts";

/** Lookups that must fail, each after the server has answered a check, before a result is called unreadable. */
const confirmationsMax = 3;
const confirmationWaitMs = 500;

/**
 * For a server that could not say for the whole grace time what became of a prompt. If the server does not answer a check
 * either, the run stops. If it answers everything else and still not this, the prompt has ended, and rendering it again
 * would not help.
 * @returns when the server says after all what became of the prompt
 * @throws RunStopped @throws ComfyUIError `result_unreadable`
 */
export async function confirmUnreadable(
  server: JobServer,
  promptId: string,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    await requireAnswers(server, signal);
    try {
      await server.connector.lookup(promptId, { signal });
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ComfyUIError) || error.code === "connector_closed") throw error;
      if (tries >= confirmationsMax) throw unreadableResult(error);
    }
    await sleep(confirmationWaitMs, undefined, { signal });
  }
}

/** Checks the server now. @throws RunStopped it does not answer */
export async function requireAnswers(server: JobServer, signal: AbortSignal): Promise<void> {
  await server.checkNow(signal);
  if (!server.isAnswering) throw new RunStopped("server-lost");
}

export function unreadableResult(cause: ComfyUIError): ComfyUIError {
  const message = `The prompt has ended, and its result cannot be read: ${cause.message}`;
  return new ComfyUIError("result_unreadable", message, { cause });
}
