import { ComfyUIError, type ComfyUIConnector, type ComfyUIErrorCode } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";

/** Short, because an entry that stays does little harm: the server drops its oldest entries itself. */
const timeoutMs = 2_000;
/** With these codes the server has answered, and would answer the same again. Credentials may become right. */
const finalCodes: ReadonlySet<ComfyUIErrorCode> = new Set(["request_refused", "bad_reply"]);

/**
 * Removes prompts' entries from their server's history, where every client can read the whole graph and every message.
 * Call it only after the ends of the prompts' attempts are committed: until then a successor collects the outputs from
 * such an entry. No entry of another client is touched, since prompt ids are random and each belongs to one attempt.
 * @returns false when it should be tried again
 */
export async function forgetPrompts(
  connector: Pick<ComfyUIConnector, "deleteHistory">,
  promptIds: readonly string[],
  { log }: { log: Logger },
): Promise<boolean> {
  try {
    await connector.deleteHistory(promptIds, { timeoutMs });
    return true;
  } catch (error) {
    log.debug({ err: error, promptIds }, "entries could not be removed from their server's history");
    return error instanceof ComfyUIError && finalCodes.has(error.code);
  }
}
