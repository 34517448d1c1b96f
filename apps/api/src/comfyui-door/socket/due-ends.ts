import { type DoorMessage } from "@genga/jobs";
import { type LivePrompt } from "./live-prompt.ts";

/** How long a recorded end waits for the last messages of its prompt, which come another way. */
const lastMessagesMs = 1_000;
/** The same for a prompt of which nothing was heard: its client has just come, or was not told live. */
const firstMessagesMs = 500;
/** After each message that comes later than the end was recorded. */
const nextMessageMs = 300;

/** When the ends of which jobs are to be told. */
export class DueEnds {
  readonly #at = new Map<string, number>();

  /** The end is recorded. @param attempt absent = not known */
  expect(jobId: string, live: LivePrompt | null | undefined, attempt?: number): void {
    const hasHeardAll = attempt === undefined ? live?.hasServerEnded : live?.hasHeardAll(attempt);
    const waitMs = live?.isHeard === true ? lastMessagesMs : firstMessagesMs;
    this.#at.set(jobId, hasHeardAll === true ? 0 : performance.now() + waitMs);
  }

  /** It is the turn of this end. */
  tellNow(jobId: string): void {
    this.#at.set(jobId, 0);
  }

  /** A message of the job came. */
  noteMessage({ jobId, kind }: DoorMessage): void {
    const at = this.#at.get(jobId);
    if (at === undefined) return;
    const next = performance.now() + nextMessageMs;
    this.#at.set(jobId, kind === "ended" ? 0 : Math.max(at, next));
  }

  has(jobId: string): boolean {
    return this.#at.has(jobId);
  }

  /** Those that are due; they stay until they are deleted. */
  list(now: number, max: number): string[] {
    return [...this.#at]
      .filter(([, at]) => at <= now)
      .slice(0, max)
      .map(([jobId]) => jobId);
  }

  delete(jobId: string): void {
    this.#at.delete(jobId);
  }

  /** When the next one is due. */
  get nextAt(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#at.values());
  }
}
