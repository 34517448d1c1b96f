import { type MeasuredRun, type RunEstimate, type RunKind, type TimeRange } from "@genga/jobs";

/** What was known of a run before it began. */
export interface KnownOfRun {
  run: RunEstimate;
  /** `null` = no load of its model was measured. */
  load: TimeRange | null;
}

/** How much longer a run will take; `null` = nothing like it was measured. */
export interface Remaining {
  remainingLowMs: number | null;
  remainingHighMs: number | null;
}

const unknown: Remaining = { remainingLowMs: null, remainingHighMs: null };
/** Without its nodes from the cache of the server, a run must still have this share of its usual time. */
const cachedShareMax = 0.1;
/** As the finest step of shown times: finer ones would be news without being any. */
const shownStepMs = 100;

/** One execution: how long it will take, and how long its nodes took. All times are monotonic milliseconds. */
export class RunMeasure {
  readonly kind: RunKind;
  #known: KnownOfRun | null = null;
  #begunAt: number | null = null;
  /** What was known when it began. */
  #estimate: { run: TimeRange; load: TimeRange | null } | null = null;
  /** From where its own pace counts: its begin, or the first step after a load. */
  #paceFrom: { at: number; done: number } | null = null;
  #entered: { node: string; at: number } | null = null;
  readonly #spans: { node: string; from: number; to: number }[] = [];
  #cached: ReadonlySet<string> = new Set();

  constructor(kind: RunKind) {
    this.kind = kind;
  }

  /** What was measured of earlier runs. May come late, or never. */
  know(known: KnownOfRun | null): void {
    this.#known = known;
  }

  /**
   * It begins to execute.
   * @param hadToLoad whether the server must load its model first; `null` = not known
   */
  begin(now: number, hadToLoad: boolean | null): void {
    this.#begunAt = now;
    const { run, load } = this.#known ?? { run: null, load: null };
    // How long a load takes that was never measured nobody knows.
    if (run === null || (hadToLoad === true && load === null)) return;
    this.#estimate = { run, load: hadToLoad === true ? load : null };
    if (hadToLoad !== true) this.#paceFrom = { at: now, done: 0 };
  }

  /** The server has the results of these nodes: they take no time. */
  noteCached(nodes: readonly string[]): void {
    this.#cached = new Set(nodes);
  }

  /** A node begins; `null`: the last one has ended. */
  enter(node: string | null, now: number): void {
    if (this.#entered !== null)
      this.#spans.push({ node: this.#entered.node, from: this.#entered.at, to: now });
    this.#entered = node === null ? null : { node, at: now };
  }

  /** @param figures how far it has come; the percentage by the measured times of its nodes */
  remaining({ percent, step }: { percent: number; step: number | null }, now: number): Remaining {
    if (this.#estimate === null || this.#begunAt === null) return unknown;
    const done = Math.min(Math.max(percent / 100, 0), 1);
    if (step !== null && step > 0) this.#paceFrom ??= { at: now, done };
    const { run, load } = this.#estimate;
    const elapsedMs = now - this.#begunAt;
    const leftOf = (runMs: number, loadMs: number): number => {
      const loadLeftMs = this.#paceFrom === null ? Math.max(loadMs - elapsedMs, 0) : 0;
      const leftMs = loadLeftMs + this.#paced(runMs * (1 - this.#cachedShare()), done, now) * (1 - done);
      return Math.round(leftMs / shownStepMs) * shownStepMs;
    };
    return {
      remainingLowMs: leftOf(run.lowMs, load?.lowMs ?? 0),
      remainingHighMs: leftOf(run.highMs, load?.highMs ?? 0),
    };
  }

  /** The further it has come, the more its own pace counts, and the less what earlier runs took. */
  #paced(totalMs: number, done: number, now: number): number {
    if (this.#paceFrom === null || done <= this.#paceFrom.done) return totalMs;
    const part = done - this.#paceFrom.done;
    return totalMs ** (1 - part) * (Math.max(now - this.#paceFrom.at, 1) / part) ** part;
  }

  /** How far off the estimate at its begin was, as a share of the whole; `null` = there was none. */
  errorOf(totalMs: number): number | null {
    if (this.#estimate === null || !(totalMs > 0)) return null;
    const { run, load } = this.#estimate;
    const ms = run.ms * (1 - this.#cachedShare()) + (load?.ms ?? 0);
    return Math.abs(ms - totalMs) / totalMs;
  }

  /**
   * It has completed. @returns `null` = it says nothing about other runs
   * @param hadToLoad as for `begin`
   */
  completed(
    { totalMs, leadMs }: { totalMs: number; leadMs: number | null },
    hadToLoad: boolean | null,
    serverId: string,
  ): MeasuredRun | null {
    const loadMs = hadToLoad === true ? leadMs : 0;
    if (hadToLoad === null || loadMs === null || this.#begunAt === null || this.#wasCached()) return null;
    const begunAt = this.#begunAt + loadMs;
    const nodes = new Map<string, number>();
    for (const { node, from, to } of this.#spans) {
      const ms = to - Math.max(from, begunAt);
      if (ms > 0) nodes.set(node, (nodes.get(node) ?? 0) + ms);
    }
    const { kind } = this;
    return { kind, serverId, ms: totalMs - loadMs, loadMs: loadMs > 0 ? loadMs : null, nodes };
  }

  /** What the cached nodes usually take, as a share of the run. */
  #cachedShare(): number {
    let all = 0;
    let cached = 0;
    for (const [id, { ms, steps }] of this.#known?.run.nodes ?? []) {
      all += ms * (steps ?? 1);
      if (this.#cached.has(id)) cached += ms * (steps ?? 1);
    }
    return all > 0 ? cached / all : 0;
  }

  /** So much of the work was done before that its time is not that of a whole run. */
  #wasCached(): boolean {
    if (this.#cached.size === 0) return false;
    if ((this.#known?.run.nodes.size ?? 0) > 0) return this.#cachedShare() > cachedShareMax;
    const { nodes } = this.kind;
    const stepping = nodes.filter(({ steps }) => steps > 0);
    if (stepping.length > 0) return stepping.some(({ id }) => this.#cached.has(id));
    return this.#cached.size > nodes.length / 2;
  }
}
