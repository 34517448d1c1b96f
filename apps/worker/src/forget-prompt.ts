import { type ComfyUIConnector } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";

/** Short: an entry that stays takes room until the server drops its oldest ones, and no more. */
const timeoutMs = 2_000;

/**
 * Removes a prompt's entry from its server's history, which holds the whole graph and every message, for whoever asks. Only
 * to be called once the end of the prompt's attempt is committed: until then a successor collects the outputs by it. Nobody
 * else's entry is touched, since prompt ids are random and each belongs to one attempt.
 */
export async function forgetPrompt(
  connector: ComfyUIConnector,
  promptId: string,
  { signal, log }: { signal?: AbortSignal; log: Logger },
): Promise<void> {
  try {
    await connector.deleteHistory(promptId, { timeoutMs, ...(signal !== undefined && { signal }) });
  } catch (error) {
    log.debug({ err: error, promptId }, "a prompt's entry could not be removed from its server's history");
  }
}
