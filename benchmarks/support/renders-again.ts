import { setTimeout as sleep } from "node:timers/promises";
import { type SimulatorProcess } from "@genga/testing";
import { z } from "zod";

const lookEveryMs = 20;
const queueSchema = z.object({
  queue_running: z.array(z.tuple([z.number(), z.string()]).rest(z.unknown())),
  queue_pending: z.array(z.tuple([z.number(), z.string()]).rest(z.unknown())),
});

/** The prompts that this server holds or has executed: what it renders of others was sent after this call. */
export async function knownPrompts(simulator: SimulatorProcess): Promise<Set<string>> {
  const queue = queueSchema.parse(await (await fetch(`${simulator.url}/queue`)).json());
  const held = [...queue.queue_running, ...queue.queue_pending].map(([, promptId]) => promptId);
  return new Set([...held, ...(await simulator.executions())]);
}

/** Resolves when the server has begun a prompt that is not among these. */
export async function untilRendersAnother(
  simulator: SimulatorProcess,
  known: ReadonlySet<string>,
): Promise<void> {
  while ((await simulator.executions()).every((promptId) => known.has(promptId))) await sleep(lookEveryMs);
}
