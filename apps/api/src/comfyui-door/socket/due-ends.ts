import { type DoorMessage, type UntoldEnd } from "@genga/jobs";
import { type Audience } from "./audience.ts";
import { type KnownPrompts } from "./known-prompts.ts";
import { type LivePrompt } from "./live-prompt.ts";
import { patienceMs } from "./turns.ts";

/** How long a recorded end waits for the last messages of its prompt, which come another way. */
const lastMessagesMs = 1_000;
/** The same for a prompt of which nothing was heard: its client has just come, or was not told live. */
const firstMessagesMs = 500;
/** After each message that comes later than the end was recorded. */
const nextMessageMs = 300;

/** The last messages about a prompt come at most so long after its end. */
const latestMs = 5_000;

/** When the ends of which jobs are to be told. */
export class DueEnds {
  readonly #at = new Map<string, number>();
  readonly #missed = new Set<string>();

  /** The end is recorded. @param attempt absent = not known */
  expect(jobId: string, live: LivePrompt | null | undefined, attempt?: number): void {
    const hasHeardAll = attempt === undefined ? live?.hasServerEnded : live?.hasHeardAll(attempt);
    const waitMs = live?.isHeard === true ? lastMessagesMs : firstMessagesMs;
    this.#at.set(jobId, hasHeardAll === true ? 0 : performance.now() + waitMs);
  }

  /**
   * The end was not told. If its client has come back since, it is told at once, before what runs now and what the client sends now, as if
   * the end had waited for long enough.
   */
  expectUntold(
    { jobId, clientId, agoMs }: UntoldEnd,
    prompts: Pick<KnownPrompts, "of">,
    audience: Pick<Audience, "find">,
  ): void {
    const live = prompts.of(jobId);
    const connectedMs = Date.now() - (audience.find(clientId)?.openedAt ?? 0);
    const wasMissed = agoMs > Math.max(connectedMs, latestMs) && live?.isHeard !== true;
    if (!wasMissed) {
      this.expect(jobId, live);
      return;
    }
    this.#at.set(jobId, 0);
    this.#missed.add(jobId);
  }

  /** How long the end has waited for its turn before it was due. */
  waitedMs(jobId: string): number {
    return this.#missed.has(jobId) ? patienceMs : 0;
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
    this.#missed.delete(jobId);
  }

  /** When the next one is due. */
  get nextAt(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#at.values());
  }
}
