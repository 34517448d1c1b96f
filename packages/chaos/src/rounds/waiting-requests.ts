import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type LaneRequest } from "../history/history.ts";
import { type ChaosClient, type Reply } from "../observing/chaos-client.ts";

/** 202: of a lane. 409: it runs, or has ended. */
const usualAnswers: readonly (number | null)[] = [200, 202, 409, 503, null];
const resumesMax = 100;
const resumeAgainMs = 300;

export interface Asking {
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
  await resume(path, asking);
}

async function resume(path: string, asking: Asking): Promise<void> {
  for (let turn = 0; turn < resumesMax; turn += 1) {
    const { httpStatus } = await ask(`${path}/resume`, turn, asking);
    if (httpStatus === 200 || httpStatus === 202 || httpStatus === 409) return;
    await sleep(resumeAgainMs);
  }
}

const queueSchema = z.object({
  outlook: z.object({ lanes: z.array(z.object({ lane: z.string() })).nullable() }),
});

/**
 * Pauses one of the lanes in which jobs wait, and resumes it for certain.
 * @returns the request; none if no job waits, or no API answers
 */
export async function pauseLaneForAWhile(
  lane: number,
  forMs: number,
  asking: Asking,
): Promise<LaneRequest[]> {
  const { httpStatus, text } = await asking.clients[asking.api % 2 === 0 ? 0 : 1].request("GET", "queue");
  if (httpStatus !== 200) return [];
  const { outlook } = queueSchema.parse(JSON.parse(text));
  // Jobs of the default lane have no row that could be paused.
  const names = (outlook.lanes ?? []).map((each) => each.lane).filter((name) => name !== "default");
  const name = names[lane % names.length];
  if (name === undefined) return [];
  const reply = await ask(`lanes/${encodeURIComponent(name)}/pause`, 0, asking);
  await sleep(forMs);
  await resume(`lanes/${encodeURIComponent(name)}`, asking);
  return [{ lane: name, endedAt: reply.endedAt, httpStatus: reply.httpStatus }];
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
