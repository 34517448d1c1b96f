import { type ServerQueue } from "@genga/comfyui";
import { type JobRuns } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { validate as isUuid } from "uuid";
import { forgetPrompts } from "../job/forget-prompts.ts";
import { type OwnedServer } from "./owned-server.ts";

/** Short, because the next check of the server tries again. */
const cancelTimeoutMs = 1_000;

/**
 * Ends prompts on the server whose attempts have ended already. Such prompts exist when a server was unavailable, its
 * jobs ran elsewhere, and it is back: it would render without any use. Prompts of other clients are not touched.
 */
export async function removeSuperseded(
  server: OwnedServer,
  queue: ServerQueue,
  runs: Pick<JobRuns, "findEndedPrompts">,
  log: Logger,
): Promise<void> {
  const own = server.promptIds;
  const others = [...queue.running, ...queue.pending]
    .map(({ promptId }) => promptId)
    .filter((promptId) => !own.has(promptId) && isUuid(promptId));
  if (others.length === 0) return;
  for (const promptId of await runs.findEndedPrompts(server.id, others)) {
    try {
      const { outcome } = await server.connector.cancelPrompt(promptId, { timeoutMs: cancelTimeoutMs });
      await forgetPrompts(server.connector, [promptId], { log });
      log.info({ server: server.url, promptId, outcome }, "a prompt whose attempt has ended was removed");
    } catch (error) {
      log.debug(
        { err: error, server: server.url, promptId },
        "a prompt whose attempt has ended could not be removed yet",
      );
      return;
    }
  }
}
