import { setTimeout as sleep } from "node:timers/promises";
import { type ChaosClient, type Reply } from "../observing/chaos-client.ts";

/** 409: it runs, or has ended. */
const usualAnswers: readonly (number | null)[] = [200, 409, 503, null];
const resumesMax = 100;
const resumeAgainMs = 300;

interface Pause {
  /** The API that is asked first. */
  api: number;
  forMs: number;
  clients: readonly [ChaosClient, ChaosClient];
  /** Called for an answer that should not come. */
  onRefusal: (path: string, reply: Reply) => void;
}

/**
 * Pauses a job or a batch, and resumes it for certain, since what is paused never ends.
 * @param path `jobs/<id>` or `batches/<id>`
 */
export async function pauseForAWhile(path: string, { api, forMs, clients, onRefusal }: Pause): Promise<void> {
  const ask = async (turn: number, what: string): Promise<Reply> => {
    const reply = await clients[(api + turn) % 2 === 0 ? 0 : 1].request("POST", `${path}/${what}`);
    if (!usualAnswers.includes(reply.httpStatus)) onRefusal(`${path}/${what}`, reply);
    return reply;
  };
  await ask(0, "pause");
  await sleep(forMs);
  for (let turn = 0; turn < resumesMax; turn += 1) {
    const { httpStatus } = await ask(turn, "resume");
    if (httpStatus === 200 || httpStatus === 409) return;
    await sleep(resumeAgainMs);
  }
}
