import { type Logger } from "@genga/runtime";
import { type JobServer } from "./job-server.ts";
import { type Run } from "./run.ts";

/** The timeout for ending a prompt on a server that is given up. */
const endingMs = 4_000;

/** After an out-of-memory error: asks the server to unload its models before the next job. */
export async function freeMemory(run: Run, server: JobServer, log: Logger): Promise<void> {
  try {
    await server.connector.free({ unloadModels: true, freeMemory: true, signal: run.stopSignal });
    server.noteUnloaded();
  } catch (error) {
    log.warn({ err: error }, "the server could not be asked to free memory");
  }
}

/**
 * Ends a run's prompt on a server that is given up, wherever it is. A wedged server still answers, and may recover: its
 * prompt must not execute beside the job's next attempt.
 */
export async function endPromptOfLostServer(run: Run, server: JobServer, log: Logger): Promise<void> {
  try {
    const signal = AbortSignal.timeout(endingMs);
    await server.connector.cancelPrompt(run.promptId, { signal, timeoutMs: endingMs / 2 });
  } catch (error) {
    // The server's owner removes the prompt once it sees it in the server's queue.
    log.warn({ err: error }, "the prompt could not be ended on the server that is given up");
  }
}
