import { setTimeout as delay } from "node:timers/promises";

import { type CallOptions } from "./http-client.ts";
import { type PromptLookup, type SettledLookup } from "./prompt-lookup.ts";

/**
 * How a cancellation ended. `deleted`: it never ran; `interrupted`: it was stopped; `too_late`: it had finished or
 * failed by itself; `absent`: it was nowhere to begin with; `pending`: not confirmed in time, the interrupt is set.
 */
export interface CancelOutcome {
  outcome: "deleted" | "interrupted" | "too_late" | "absent" | "pending";
  lookup: PromptLookup;
}

/** What a cancellation needs of a server. */
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
 * Looks, asks for what fits, and looks again until it is true. A prompt may start between the look and the delete,
 * and may end between the look and the interrupt (PROTOCOL 0.6), hence the loop. The interrupt names the prompt, so
 * repeating it never hits the next one.
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
