import { ComfyUIError, type ComfyUIConnector, type ComfyUIErrorCode } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";

/** Short, because an entry that stays does little harm: the server drops its oldest entries itself. */
const timeoutMs = 2_000;
/** With these codes the server has answered, and would answer the same again. */
const finalCodes: ReadonlySet<ComfyUIErrorCode> = new Set(["request_refused", "access_denied", "bad_reply"]);

/**
 * Removes a prompt's entry from its server's history, where every client can read the whole graph and every message.
 * Call it only after the end of the prompt's attempt is committed: until then a successor collects the outputs from
 * that entry. No entry of another client is touched, since prompt ids are random and each belongs to one attempt.
 * @returns false when it should be tried again
 */
export async function forgetPrompt(
  connector: ComfyUIConnector,
  promptId: string,
  { signal, log }: { signal?: AbortSignal; log: Logger },
): Promise<boolean> {
  try {
    await connector.deleteHistory(promptId, { timeoutMs, ...(signal !== undefined && { signal }) });
    return true;
  } catch (error) {
    log.debug({ err: error, promptId }, "a prompt's entry could not be removed from its server's history");
    return error instanceof ComfyUIError && finalCodes.has(error.code);
  }
}
