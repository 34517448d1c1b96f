import { ComfyUIError, type ServerQueue } from "@genga/comfyui";
import { type ServerState, takesWork } from "@genga/jobs";

/** The result of one check of a server. */
export type HealthCheck =
  | { kind: "answered"; queue: ServerQueue; ownPromptIds: ReadonlySet<string> }
  /** It does not answer as a ComfyUI server; or `denied`, it or a proxy before it refuses the credentials. */
  | { kind: "silent" | "denied"; reason: string };

export interface ServerHealthLimits {
  /** How long the queue may stand still behind another client's prompt. */
  stallMs: number;
  /** How long prompts may wait while none runs. */
  idleMs: number;
  /** How many jobs may fail through the server's fault, without a success between them, before it gets a pause. */
  failuresMax: number;
  /** The first pause; each further one is twice as long, up to `pauseMaxMs`. */
  pauseMs: number;
  pauseMaxMs: number;
}

export const healthLimits: ServerHealthLimits = {
  stallMs: 15 * 60_000,
  idleMs: 10_000,
  failuresMax: 3,
  pauseMs: 10_000,
  pauseMaxMs: 5 * 60_000,
};

/**
 * The circuit breaker of one server: closed (`online`), open (`unreachable`, `denied`, `wedged`, `failing`), or on probation
 * (`probing`: one job at a time until one ends well). The caller reports the results of checks and jobs, and passes the
 * time.
 */
export class ServerHealth {
  #state: ServerState = "unknown";
  #reason: string | null = null;
  #silentSince: number | null = null;
  #head: { promptId: string | null; since: number } | null = null;
  #stuckPromptId: string | null = null;
  #lostSinceSuccess = 0;
  #pauses = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  readonly #limits: ServerHealthLimits;

  constructor(limits: ServerHealthLimits = healthLimits) {
    this.#limits = limits;
  }

  get state(): ServerState {
    return this.#state;
  }

  /** The reason of the state, for operators; `null` while the server is online. */
  get reason(): string | null {
    return this.#reason;
  }

  /** It does not answer its worker, or not as a ComfyUI server. */
  get isAway(): boolean {
    return this.#state === "unreachable" || this.#state === "denied";
  }

  get mayTakeJobs(): boolean {
    return takesWork(this.#state);
  }

  /** How long the server has not answered; 0 when it answered the last check. @param now monotonic milliseconds */
  silentMs(now: number): number {
    return this.#silentSince === null ? 0 : now - this.#silentSince;
  }

  /** The server was told to end this prompt and does not, so no other prompt can start. */
  noteStuck(promptId: string): void {
    this.#stuckPromptId = promptId;
    this.#become("wedged", stuckReason(promptId));
  }

  /** A prompt ended with success, so the server works. A prompt that failed says nothing: a broken server fails them, too. */
  noteJobEnded(): void {
    this.#lostSinceSuccess = 0;
    this.#pauses = 0;
    if (this.#state === "probing") this.#become("online", null);
  }

  /** A job failed through the server's fault. */
  noteJobLost(reason: string, now: number): void {
    this.#lostSinceSuccess += 1;
    const isOnTrial = this.#state === "probing";
    if (!isOnTrial && this.#lostSinceSuccess < this.#limits.failuresMax) return;
    const pauseMs = Math.min(this.#limits.pauseMs * 2 ** this.#pauses, this.#limits.pauseMaxMs);
    this.#pauses += 1;
    this.#pausedUntil = now + pauseMs;
    this.#become(
      "failing",
      `Jobs lost on it since one last ended well there: ${this.#lostSinceSuccess}; lastly: ${reason}`,
    );
  }

  noteCheck(check: HealthCheck, now: number): void {
    if (check.kind !== "answered") {
      this.#silentSince ??= now;
      this.#head = null;
      this.#become(check.kind === "denied" ? "denied" : "unreachable", check.reason);
      return;
    }
    this.#silentSince = null;
    const wedge = this.#wedgeOf(check, now);
    if (wedge !== null) this.#become("wedged", wedge);
    else if (now < this.#pausedUntil) this.#become("failing", this.#reason);
    else if (this.#state === "unknown") this.#become("online", null);
    else if (!this.mayTakeJobs)
      this.#become("probing", "It was unavailable; until a job ends well on it, it gets one job at a time.");
  }

  /**
   * Why the queue of the server is stuck, or `null`. A prompt of this worker that executes does not count, since it has
   * a deadline.
   */
  #wedgeOf({ queue, ownPromptIds }: Extract<HealthCheck, { kind: "answered" }>, now: number): string | null {
    const known = [...queue.running, ...queue.pending].map(({ promptId }) => promptId);
    if (this.#stuckPromptId !== null && !known.includes(this.#stuckPromptId)) this.#stuckPromptId = null;
    if (this.#stuckPromptId !== null) return stuckReason(this.#stuckPromptId);
    const head = queue.running[0]?.promptId ?? null;
    if (known.length === 0) this.#head = null;
    else if (this.#head?.promptId !== head) this.#head = { promptId: head, since: now };
    if (this.#head === null || (head !== null && ownPromptIds.has(head))) return null;
    const stillMs = now - this.#head.since;
    if (head === null) {
      return stillMs < this.#limits.idleMs
        ? null
        : "It accepts prompts and starts none; it must be restarted.";
    }
    if (queue.pending.length === 0 || stillMs < this.#limits.stallMs) return null;
    return `Its queue has not moved for ${Math.round(stillMs / 60_000)} minutes; prompt ${head} is at its front.`;
  }

  #become(state: ServerState, reason: string | null): void {
    this.#state = state;
    this.#reason = reason;
  }
}

/** The result of a check that failed: no answer, an answer that no ComfyUI server gives, or refused credentials. */
export function failedCheck(error: unknown): HealthCheck {
  const reason = error instanceof Error ? error.message : String(error);
  const isDenied = error instanceof ComfyUIError && error.code === "access_denied";
  return { kind: isDenied ? "denied" : "silent", reason };
}

function stuckReason(promptId: string): string {
  return `It was told to end prompt ${promptId}, but does not end it.`;
}
