import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type SubmissionObservation } from "../history/history.ts";
import { type ChaosClient, type Reply } from "../observing/chaos-client.ts";

const idSchema = z.object({ id: z.string() });
const submittedSchema = idSchema.extend({ jobs: z.array(idSchema).default([]) });

const submitsMax = 12;
const silencesMax = 6;
const submitAgainMs = 400;

interface SubmitterOptions {
  seed: number;
  /** Called for an answer that a valid submission should not get. */
  onRefusal: (path: string, reply: Reply) => void;
}

/** Submits jobs as a careful client does, and sometimes once more than necessary. */
export class Submitter {
  readonly observations: SubmissionObservation[] = [];
  readonly #clients: readonly [ChaosClient, ChaosClient];
  readonly #options: SubmitterOptions;

  constructor(clients: readonly [ChaosClient, ChaosClient], options: SubmitterOptions) {
    this.#clients = clients;
    this.#options = options;
  }

  /**
   * Submits at the planned API, else at the other one, and again after a 503, always with the same Idempotency-Key. A
   * submission that neither API answers with 202 may still have been accepted; it is found in the list of jobs. One that
   * was accepted is sent again as often as the plan says.
   */
  async submit(
    path: string,
    body: object,
    { api, replays }: { api: number; replays: number },
    name: string,
  ): Promise<Reply | null> {
    const send = (turn: number): Promise<Reply> =>
      this.#clients[(api + turn) % 2 === 0 ? 0 : 1].request(
        "POST",
        path,
        body,
        `${this.#options.seed}-${name}`,
      );
    const observation: SubmissionObservation = { name, answers: [] };
    this.observations.push(observation);
    const reply = await this.#untilAccepted(path, send);
    if (reply === null) return null;
    observation.answers.push(idsOf(reply));
    for (let turn = 1; turn <= replays; turn += 1) {
      const again = await send(turn);
      if (again.httpStatus === 202) observation.answers.push(idsOf(again));
      // 410: the job was removed meanwhile.
      else if (![null, 410, 503].includes(again.httpStatus)) this.#options.onRefusal(path, again);
    }
    return reply;
  }

  async #untilAccepted(path: string, send: (turn: number) => Promise<Reply>): Promise<Reply | null> {
    let silences = 0;
    for (let turn = 0; turn < submitsMax && silences < silencesMax; turn += 1) {
      const reply = await send(turn);
      if (reply.httpStatus === 202) return reply;
      if (reply.httpStatus === null) silences += 1;
      else await sleep(submitAgainMs);
      // 409: an API that was killed or cut off has the key.
      if (reply.httpStatus !== null && ![409, 503].includes(reply.httpStatus)) {
        if (!namesEndedJob(reply)) this.#options.onRefusal(path, reply);
        return null;
      }
    }
    return null;
  }
}

/** A job may not depend on one that has failed or was cancelled meanwhile. */
function namesEndedJob({ httpStatus, text }: Reply): boolean {
  return httpStatus === 422 && text.includes("dependsOn");
}

function idsOf({ text }: Reply): string[] {
  const { id, jobs } = submittedSchema.parse(JSON.parse(text));
  return [id, ...jobs.map((job) => job.id)];
}
