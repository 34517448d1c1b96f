import { type DoorMessage, type UntoldEnd } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { type KnownPrompts, promptsMax } from "./known-prompts.ts";
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

/** How long an end waits after it could not be told: twice as long after each further failure. */
const pauseMs = { min: 1_000, max: 60_000 };
/** So many failures let it wait for longer and longer before it interrupts what runs. */
const patientFailuresMax = 6;

/** When the ends of which jobs are to be told. */
export class DueEnds {
  readonly #at = new Map<string, number>();
  /** Of which attempts they are, as far as it is known. */
  readonly #attempts = new Map<string, number>();
  /** Ends that come before what runs, and their clients. */
  readonly #missed = new Map<string, string>();
  /** The socket for which an end has come before what runs. It does so once, so that one that cannot be told stops nothing else. */
  readonly #preferredFor = new LRUCache<string, string>({ max: promptsMax });
  /** How often an end could not be told. */
  readonly #failures = new LRUCache<string, number>({ max: promptsMax });

  /** The end is recorded. @param attempt absent = not known */
  expect(jobId: string, live: LivePrompt | null | undefined, attempt?: number): void {
    const hasHeardAll = attempt === undefined ? live?.hasServerEnded : live?.hasHeardAll(attempt);
    const waitMs = live?.isHeard === true ? lastMessagesMs : firstMessagesMs;
    this.#at.set(jobId, hasHeardAll === true ? 0 : performance.now() + waitMs);
    this.noteAttempt(jobId, attempt);
  }

  /**
   * The end was not told. If its client has come back since, it is told as soon as no more messages of its prompt can come, as if it had
   * waited for long enough: before what the client sends now, and before what runs, if that began later. An end that came while another
   * prompt of the client ran waits for its turn, as a client takes what it hears for that of the prompt that it knows to run.
   */
  expectUntold(
    { jobId, clientId, agoMs, isBeforeRunning }: UntoldEnd,
    prompts: Pick<KnownPrompts, "of">,
    audience: { find(clientId: string): { id: string; openedAt: number } | undefined },
  ): void {
    const live = prompts.of(jobId);
    const socket = audience.find(clientId);
    const connectedMs = Date.now() - (socket?.openedAt ?? 0);
    const wasMissed = agoMs > connectedMs && live?.isHeard !== true;
    this.expect(jobId, live);
    if (socket === undefined || !wasMissed || !isBeforeRunning || this.#wasPreferred(jobId, socket.id))
      return;
    if (agoMs > latestMs) this.#at.set(jobId, 0);
    this.#missed.set(jobId, clientId);
    this.#preferredFor.set(jobId, socket.id);
  }

  /** Whether this end has come, or comes, before what runs; one that could not be told does not count. */
  isPreferred(jobId: string, socketId: string | undefined): boolean {
    return this.#wasPreferred(jobId, socketId) && !this.#failures.has(jobId);
  }

  /** Whether ends of this client are still to come before what runs. */
  hasMissed(clientId: string): boolean {
    return this.#missed.size > 0 && new Set(this.#missed.values()).has(clientId);
  }

  /** The end could not be told, and is told later. */
  retryLater(jobId: string): void {
    const failures = this.#failures.get(jobId) ?? 0;
    this.#failures.set(jobId, failures + 1);
    this.#at.set(jobId, performance.now() + Math.min(pauseMs.min * 2 ** failures, pauseMs.max));
  }

  /** The client has the end. */
  noteTold(jobId: string): void {
    this.#failures.delete(jobId);
  }

  /**
   * How long the end has waited for its turn before it was due. Of one that could not be told it is less than nothing: it would be told in
   * vain again, so it is to interrupt what runs only after twice as long as the last time.
   */
  waitedMs(jobId: string): number {
    if (this.#missed.has(jobId)) return patienceMs;
    const failures = Math.min(this.#failures.get(jobId) ?? 0, patientFailuresMax);
    return patienceMs * (1 - 2 ** failures);
  }

  /** It is the turn of this end. */
  tellNow(jobId: string): void {
    this.#at.set(jobId, 0);
  }

  /** The end was read. @param attempt absent = not known */
  noteAttempt(jobId: string, attempt: number | undefined): void {
    if (attempt !== undefined) this.#attempts.set(jobId, attempt);
  }

  /** A message of the job came. An end does not wait for what is said of a later attempt. */
  noteMessage({ jobId, attempt, kind }: DoorMessage): void {
    const at = this.#at.get(jobId);
    if (at === undefined || attempt > (this.#attempts.get(jobId) ?? attempt)) return;
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
    this.#attempts.delete(jobId);
    this.#missed.delete(jobId);
  }

  #wasPreferred(jobId: string, socketId: string | undefined): boolean {
    return socketId !== undefined && this.#preferredFor.get(jobId) === socketId;
  }

  /** When the next one is due. */
  get nextAt(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#at.values());
  }
}
