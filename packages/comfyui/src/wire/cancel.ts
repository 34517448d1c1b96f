import { setTimeout as delay } from "node:timers/promises";

import { type CallOptions } from "./http-client.ts";
import { type PromptLookup, type SettledLookup } from "./prompt-lookup.ts";

/**
 * How a cancellation ended. `deleted`: it never ran; `interrupted`: it was stopped; `too_late`: it had finished or
 * failed by itself; `absent`: the server did not know it from the beginning; `pending`: the end was not confirmed in
 * time, but the server has the interrupt.
 */
export interface CancelOutcome {
  outcome: "deleted" | "interrupted" | "too_late" | "absent" | "pending";
  lookup: PromptLookup;
}

/** The calls to a server that a cancellation needs. */
export interface CancellableServer {
  lookup(promptId: string, options: CallOptions): Promise<PromptLookup>;
  cancelByRoute(promptId: string, options: CallOptions): Promise<boolean>;
  deletePrompt(promptId: string, options: CallOptions): Promise<void>;
  interrupt(promptId: string, options: CallOptions): Promise<void>;
}

const confirmWithinMs = 10_000;
const lookFirstMs = 20;
const lookEveryMsMax = 500;

/**
 * Asks where the prompt stands, sends the request that fits (delete or interrupt), and repeats both until the prompt
 * has ended. The loop is needed because a prompt may start between the question and the delete, and may end between the
 * question and the interrupt (PROTOCOL 0.6). The interrupt names the prompt, so a repeated interrupt never stops the
 * next prompt.
 */
export async function cancelPrompt(
  server: CancellableServer,
  promptId: string,
  { signal, timeoutMs = confirmWithinMs }: CallOptions,
): Promise<CancelOutcome> {
  const deadline = performance.now() + timeoutMs;
  let everWaited = false;
  let everRan = false;
  for (let pauseMs = lookFirstMs; ; pauseMs = Math.min(pauseMs * 2, lookEveryMsMax)) {
    const lookup = await server.lookup(promptId, { signal });
    if (lookup.state === "waiting") everWaited = true;
    else if (lookup.state === "running") everRan = true;
    else return { outcome: outcomeOf(lookup, everWaited || everRan), lookup };
    if (performance.now() > deadline) return { outcome: "pending", lookup };
    if (!(await server.cancelByRoute(promptId, { signal }))) {
      if (lookup.state === "waiting") await server.deletePrompt(promptId, { signal });
      else await server.interrupt(promptId, { signal });
    }
    await delay(pauseMs, undefined, { signal }).catch(() => {
      signal?.throwIfAborted();
    });
  }
}

function outcomeOf(lookup: SettledLookup, wasThere: boolean): CancelOutcome["outcome"] {
  switch (lookup.state) {
    case "finished":
    case "failed":
      return "too_late";
    case "interrupted":
      return "interrupted";
    case "absent":
      return wasThere ? "deleted" : "absent";
  }
}
