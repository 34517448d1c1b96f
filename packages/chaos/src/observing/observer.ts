import { setTimeout as sleep } from "node:timers/promises";
import { type ChaosClient } from "./chaos-client.ts";
import { endings, type Answer, type StreamedFrame } from "../history/history.ts";

/** The pause between two requests of one watcher. */
const requestPauseMs = 40;
/** A stream is closed after this time and opened again at the other API, as when a person reloads a page. */
const reloadMs = 700;

/** Observes jobs all the time, as clients do: requests each in turn, and follows some by their event streams. */
export class Observer {
  readonly #clients: readonly ChaosClient[];
  readonly #answers = new Map<string, Answer[]>();
  readonly #streams = new Map<string, StreamedFrame[][]>();
  readonly #ended = new Set<string>();
  /** Answers to requests that were sent before this say nothing about how a job ends. */
  #askAgainAt = 0;
  readonly #stopping = new AbortController();
  readonly #work: Promise<void>[] = [];

  constructor(clients: readonly ChaosClient[]) {
    this.#clients = clients;
    this.#work.push(this.#askForAll());
  }

  /** @param isFollowed whether the job's event stream is read as well */
  add(jobId: string, isFollowed: boolean): void {
    this.#answers.set(jobId, []);
    if (isFollowed) this.#work.push(this.#follow(jobId));
  }

  /** The job may change again, for example after a retry, so it is requested again. */
  askAgain(jobId: string): void {
    this.#askAgainAt = Date.now();
    this.#ended.delete(jobId);
  }

  /** Whether the latest answer was an ended job. */
  hasEnded(jobId: string): boolean {
    return this.#ended.has(jobId);
  }

  /** The job in the latest answer that had one. */
  latest(jobId: string): Answer["job"] {
    return this.#answers.get(jobId)?.findLast(({ job }) => job !== undefined)?.job;
  }

  answers(jobId: string): Answer[] {
    return this.#answers.get(jobId) ?? [];
  }

  streams(jobId: string): StreamedFrame[][] {
    return this.#streams.get(jobId) ?? [];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#work);
  }

  async #askForAll(): Promise<void> {
    let turn = 0;
    while (!this.#stopping.signal.aborted) {
      for (const [jobId, answers] of this.#answers) {
        if (this.#ended.has(jobId)) continue;
        turn += 1;
        const client = this.#clients[turn % this.#clients.length];
        if (client === undefined) continue;
        const answer = await client.readJob(jobId);
        answers.push(answer);
        const isOfNow = answer.at > this.#askAgainAt;
        if (answer.job !== undefined && endings.has(answer.job.status) && isOfNow) this.#ended.add(jobId);
      }
      await sleep(requestPauseMs);
    }
  }

  async #follow(jobId: string): Promise<void> {
    const streams: StreamedFrame[][] = [];
    this.#streams.set(jobId, streams);
    let turn = 0;
    while (!this.#stopping.signal.aborted && !this.#ended.has(jobId)) {
      turn += 1;
      const client = this.#clients[turn % this.#clients.length];
      if (client === undefined) return;
      const lastId = streams.flat().findLast(({ sequence }) => sequence !== null)?.sequence;
      const frames = await client.stream(
        jobId,
        AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(reloadMs)]),
        lastId === undefined || lastId === null ? undefined : String(lastId),
      );
      if (frames.length > 0) streams.push(frames);
      await sleep(50);
    }
  }
}
