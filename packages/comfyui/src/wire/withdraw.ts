import { setTimeout as delay } from "node:timers/promises";

import { ComfyUIError } from "./errors.ts";
import { type CallOptions } from "./http-client.ts";
import { type PromptLookup } from "./prompt-lookup.ts";

/** The calls to a server that a withdrawal needs. */
export interface WithdrawableServer {
  deletePrompt(promptId: string, options: CallOptions): Promise<void>;
  lookup(promptId: string, options: CallOptions): Promise<PromptLookup>;
}

const lookupsMax = 3;
const lookAgainMs = 100;

/**
 * Removes a prompt from the server's queue if it still waits there, and asks where it stands: the queue, then the history.
 * A prompt that runs goes on, since only `POST /queue {"delete"}` is sent; the newer routes for cancelling would stop a
 * prompt that has just begun (PROTOCOL-0.28 4).
 *
 * If the delete gets no reply, it may have been carried out, or may still be: the answer says where the prompt stands now,
 * and that may be `waiting`.
 * @param options.timeoutMs of each call
 * @throws ComfyUIError the server does not say where the prompt stands
 */
export async function withdrawPrompt(
  server: WithdrawableServer,
  promptId: string,
  options: CallOptions,
): Promise<PromptLookup> {
  try {
    await server.deletePrompt(promptId, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof ComfyUIError)) throw error;
  }
  for (let lookups = 1; ; lookups += 1) {
    try {
      return await server.lookup(promptId, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof ComfyUIError) || lookups >= lookupsMax) throw error;
    }
    await delay(lookAgainMs, undefined, { signal: options.signal });
  }
}
