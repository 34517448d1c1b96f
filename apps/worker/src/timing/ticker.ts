import { setTimeout as sleep } from "node:timers/promises";
import { type Logger } from "@genga/runtime";

/**
 * Calls `tick` every `intervalMs`, never twice at the same time. An error is logged and does not end the loop. The
 * returned function stops the loop and waits for a running tick.
 */
export function startTicker(options: {
  name: string;
  intervalMs: number;
  tick: () => Promise<void> | void;
  log: Logger;
}): () => Promise<void> {
  const stopping = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await options.tick();
      } catch (error) {
        options.log.warn({ err: error, loop: options.name }, "a pass failed and will be repeated");
      }
      await sleep(options.intervalMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = loop();
  return async () => {
    stopping.abort();
    await running;
  };
}
