import { type LivePrompt } from "./live-prompt.ts";
import { type Outgoing } from "./outgoing.ts";

/**
 * How long the end of a prompt waits for the prompt that its client hears of. A client that has read the end in the history waits for
 * no message, so that one waits for as long as it takes.
 */
export const patienceMs = 600_000;
/** Prompts of one client that wait for their turn; others are told when PostgreSQL is asked for untold ends again. */
const promptsMax = 1_000;
/** Characters that are kept for all of them, and messages for each. Of what is beyond, the end is made without them. */
const charactersMax = 2 * 1024 * 1024;
const messagesMax = 2_000;
/** Of these characters at most is progress, with bytes of previews. */
const progressMax = 1024 * 1024;
/** Ends that are read and told in one go. */
const endsAtOnce = 50;

interface Entry {
  live: LivePrompt;
  /** What is to be told when its turn comes. */
  items: Outgoing[];
  characters: number;
  /** The last one, of which only the newest counts. */
  progressState: Outgoing | null;
  /** Its client was told that it runs. Some take a prompt that begins twice for one that they do not know. */
  isBegun: boolean;
  /** Messages of it were dropped, so that it is told anew. */
  isIncomplete: boolean;
  /** Since when its end waits; `null` = it runs. */
  endedAt: number | null;
  /** Its client has seen the end in the history. */
  isRead: boolean;
}

export interface TurnsOptions {
  send: (live: LivePrompt, items: readonly Outgoing[]) => void;
  /** It is the turn of this job's end. */
  onEndDue: (jobId: string) => void;
  /** Ends are still to come that are told before what runs, so nothing begins yet. */
  isHeld: () => boolean;
}

/**
 * What one client hears, one prompt at a time: a server runs one prompt at a time, and so clients take what they hear for that of the
 * prompt that was begun last (docs/decisions/0026-comfyui-door.md). Messages of other prompts wait: with their progress while the prompt that
 * the client hears of has ended on its server and is only being stored, otherwise without it and without previews.
 */
export class Turns {
  readonly #options: TurnsOptions;
  readonly #entries = new Map<string, Entry>();
  /** The running prompt of which the client hears. */
  #current: Entry | null = null;
  /** The prompt of which the client heard last, and that waits again: nothing of another one was told since then. */
  #left: Entry | null = null;
  /** Those whose ends are being told, or are read for that. */
  readonly #ending = new Set<Entry>();
  #characters = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** The client was told that this prompt runs. */
  begin(live: LivePrompt): void {
    this.#current ??= this.#entryOf(live);
    if (this.#current?.live === live) this.#current.isBegun = true;
  }

  /** Sends what is said of a prompt, or keeps it until its turn comes. */
  say(live: LivePrompt, items: readonly Outgoing[]): void {
    if (items.length === 0) return;
    const entry = this.#entryOf(live);
    if (entry !== null && this.#isFree && !this.#options.isHeld()) this.#hear(entry);
    if (entry === null) live.forget();
    else if (this.#current === entry && !this.#ending.has(entry)) this.#send(entry, items);
    else for (const item of items) this.#keep(entry, item);
  }

  /** The prompt has ended. @param since when the end began to wait @returns whether it may be told now; if not, `onEndDue` tells when */
  mayEnd(live: LivePrompt, since: number): boolean {
    const entry = this.#entryOf(live);
    if (entry === null) return false;
    if (this.#ending.has(entry)) return true;
    entry.endedAt ??= since;
    const isTurn = this.#current === null || this.#current === entry || this.#ending.has(this.#current);
    if (!isTurn || this.#ending.size >= endsAtOnce) return false;
    this.#beginEnd(entry);
    return true;
  }

  /** The end of a prompt, with what is to be told before it. */
  withKept({ prompt }: LivePrompt, end: readonly Outgoing[]): Outgoing[] {
    const entry = this.#entries.get(prompt.jobId);
    return entry === undefined ? [...end] : onceBegun(entry, [...this.#release(entry), ...end]);
  }

  /** The end was told, or is told to nobody: the next one has its turn. */
  finish({ prompt }: LivePrompt): void {
    const entry = this.#entries.get(prompt.jobId);
    if (entry === undefined) return;
    this.#release(entry);
    this.#entries.delete(prompt.jobId);
    this.#ending.delete(entry);
    if (this.#current === entry) this.#current = null;
    if (this.#isFree) this.#passOn();
  }

  /**
   * The prompt waits again, as after its server was lost, so that others have their turn. Its client is told of a second begin only if it
   * hears of another prompt meanwhile.
   */
  release({ prompt }: LivePrompt): void {
    const entry = this.#entries.get(prompt.jobId);
    if (entry?.endedAt !== null || this.#ending.has(entry)) return;
    this.#release(entry);
    this.#entries.delete(prompt.jobId);
    if (this.#current !== entry) {
      // The client heard nothing of it, neither of what was kept.
      entry.live.forget();
      return;
    }
    this.#current = null;
    this.#left = entry;
    if (this.#isFree) this.#passOn();
  }

  isWaiting(jobId: string): boolean {
    return this.#entries.get(jobId)?.endedAt !== null && this.#entries.has(jobId);
  }

  noteRead(jobId: string): void {
    const entry = this.#entries.get(jobId);
    if (entry !== undefined) entry.isRead = true;
  }

  /** No prompt of which the client hears runs any more. */
  get isTurnNear(): boolean {
    return this.#current === null || this.#ending.has(this.#current) || this.#current.live.hasServerEnded;
  }

  /** When an end has waited for long enough; `null` = none waits for a prompt that runs. */
  get impatientAt(): number | null {
    if (this.#current === null || this.#ending.size > 0) return null;
    const since = [...this.#entries.values()].flatMap(({ endedAt, isRead }) =>
      isRead ? [] : (endedAt ?? []),
    );
    return since.length === 0 ? null : Math.min(...since) + patienceMs;
  }

  /**
   * Lets ends that have waited for too long come first. The prompt of which the client heard is begun anew afterwards, as if its
   * server had failed meanwhile.
   */
  interrupt(): void {
    const entry = this.#current;
    if (entry === null || this.#ending.size > 0) return;
    const { jobId } = entry.live.prompt;
    this.#current = null;
    this.#entries.delete(jobId);
    this.#entries.set(jobId, entry);
    Object.assign(entry, { isIncomplete: true, isBegun: false });
    this.#passOn();
  }

  /** Goes on when nothing is held back any more. */
  resume(): void {
    if (this.#isFree) this.#passOn();
  }

  /** The job of which the client hears. */
  get heardJobId(): string | null {
    return this.#current?.live.prompt.jobId ?? null;
  }

  /** The client is gone: it has not heard of what waits. */
  drop(): void {
    for (const entry of this.#entries.values()) if (entry !== this.#current) entry.live.forget();
    this.#entries.clear();
    this.#ending.clear();
    this.#current = null;
    this.#left = null;
  }

  get #isFree(): boolean {
    return this.#current === null && this.#ending.size === 0;
  }

  /** Ends first, in their order; then the prompt that began first. */
  #passOn(): void {
    const ended = [...this.#entries.values()]
      .flatMap((entry) => (entry.endedAt === null ? [] : { entry, endedAt: entry.endedAt }))
      .toSorted((one, other) => one.endedAt - other.endedAt)
      .slice(0, endsAtOnce);
    for (const { entry } of ended) {
      this.#beginEnd(entry);
      this.#options.onEndDue(entry.live.prompt.jobId);
    }
    if (ended.length > 0 || this.#options.isHeld()) return;
    const [next] = this.#entries.values();
    if (next === undefined) return;
    this.#hear(next);
    const anew = next.isIncomplete ? next.live.beginAnew() : [];
    this.#send(next, [...anew, ...this.#release(next)]);
  }

  #hear(entry: Entry): void {
    this.#current = entry;
    this.#noteTold(entry);
  }

  #beginEnd(entry: Entry): void {
    this.#ending.add(entry);
    this.#noteTold(entry);
  }

  #noteTold(entry: Entry): void {
    if (this.#left !== null && this.#left !== entry) this.#left.isBegun = false;
    this.#left = null;
  }

  #send(entry: Entry, items: readonly Outgoing[]): void {
    this.#options.send(entry.live, onceBegun(entry, items));
  }

  #entryOf(live: LivePrompt): Entry | null {
    const { jobId } = live.prompt;
    const known = this.#entries.get(jobId);
    if (known !== undefined) return Object.assign(known, { live });
    if (this.#entries.size >= promptsMax) return null;
    const left = this.#left?.live.prompt.jobId === jobId ? this.#left : null;
    const entry: Entry = left ?? {
      ...{ live, items: [], characters: 0, progressState: null },
      ...{ isBegun: false, isIncomplete: false },
      ...{ endedAt: null, isRead: false },
    };
    this.#entries.set(jobId, entry);
    return entry;
  }

  #keep(entry: Entry, item: Outgoing): void {
    if (entry.isIncomplete) return;
    if (isProgress(item) && this.isTurnNear && this.#characters + lengthOf(item) <= progressMax) {
      if (item.kind === "text" && item.type === "progress_state") this.#dropState(entry);
      this.#count(entry, lengthOf(item));
      entry.items.push(item);
    } else if (item.kind === "frame" || (item.kind === "text" && item.type === "progress")) return;
    else if (item.kind === "text" && item.type === "progress_state") {
      this.#count(entry, item.json.length - lengthOf(entry.progressState));
      entry.progressState = item;
    } else {
      this.#count(entry, lengthOf(item));
      entry.items.push(item);
    }
    if (entry.items.length <= messagesMax && this.#characters <= charactersMax) return;
    this.#release(entry);
    entry.live.forget();
    entry.isIncomplete = true;
  }

  /** A newer one is told. */
  #dropState(entry: Entry): void {
    this.#count(entry, -lengthOf(entry.progressState));
    entry.progressState = null;
  }

  #release(entry: Entry): Outgoing[] {
    const { items, progressState } = entry;
    this.#count(entry, -entry.characters);
    Object.assign(entry, { items: [], progressState: null, isIncomplete: false });
    return progressState === null ? items : [...items, progressState];
  }

  #count(entry: Entry, characters: number): void {
    entry.characters += characters;
    this.#characters += characters;
  }
}

/** Without the begin, if the client was told of it: after a failure another attempt goes on. */
function onceBegun(entry: Entry, items: readonly Outgoing[]): Outgoing[] {
  return items.filter((item) => {
    if (item.kind !== "text" || item.type !== "execution_start") return true;
    const isFirst = !entry.isBegun;
    entry.isBegun = true;
    return isFirst;
  });
}

function isProgress(item: Outgoing): boolean {
  return item.kind === "frame" || (item.kind === "text" && /^progress(_state)?$/.test(item.type));
}

function lengthOf(item: Outgoing | null): number {
  if (item?.kind === "text") return item.json.length;
  return item?.kind === "frame" ? item.frame.byteLength : 0;
}
