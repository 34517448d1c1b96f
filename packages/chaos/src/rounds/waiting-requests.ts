import { setTimeout as sleep } from "node:timers/promises";
import { type ChaosClient, type Reply } from "../observing/chaos-client.ts";

/** 409: it runs, or has ended. */
const usualAnswers: readonly (number | null)[] = [200, 409, 503, null];
const resumesMax = 100;
const resumeAgainMs = 300;

interface Asking {
  /** The API that is asked first. */
  api: number;
  clients: readonly [ChaosClient, ChaosClient];
  /** Called for an answer that should not come. */
  onRefusal: (path: string, reply: Reply) => void;
}

/**
 * Pauses a job or a batch, and resumes it for certain, since what is paused never ends.
 * @param path `jobs/<id>` or `batches/<id>`
 */
export async function pauseForAWhile(path: string, forMs: number, asking: Asking): Promise<void> {
  await ask(`${path}/pause`, 0, asking);
  await sleep(forMs);
  for (let turn = 0; turn < resumesMax; turn += 1) {
    const { httpStatus } = await ask(`${path}/resume`, turn, asking);
    if (httpStatus === 200 || httpStatus === 409) return;
    await sleep(resumeAgainMs);
  }
}

/** Changes the priority of a job or of what waits of a batch; an API that cannot be reached leaves it as it is. */
export async function changePriority(path: string, priority: string, asking: Asking): Promise<void> {
  await ask(`${path}/priority`, 0, asking, { priority });
}

async function ask(
  path: string,
  turn: number,
  { api, clients, onRefusal }: Asking,
  body?: object,
): Promise<Reply> {
  const reply = await clients[(api + turn) % 2 === 0 ? 0 : 1].request("POST", path, body);
  if (!usualAnswers.includes(reply.httpStatus)) onRefusal(path, reply);
  return reply;
}
