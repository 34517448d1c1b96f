import { isPicture, type Preview } from "@genga/comfyui";
import {
  previewMediaTypes,
  type LeasedJob,
  type PreviewGiver,
  type PreviewPicture,
  type PreviewWish,
} from "@genga/jobs";

/** Larger pictures are not shown. Previews of samplers have about 50 kB. */
const bytesMax = 2 * 1024 * 1024;
/** Of all kept pictures together. */
const keptBytesMax = 128 * 1024 * 1024;
/** How long a wish holds; who still wants it says so again before. */
const wishMs = 6_000;
/** How often a picture of one job is sent at most … */
const sendEveryMs = 250;
/** … and how often its watchers are told that there is a new one. */
const noteEveryMs = 1_000;
/** Processes that want the same, and things that any process wants notes of. */
const wishersMax = 64;
const notedMax = 20_000;

/** The names of the processes that want something, each with the moment until which it does. */
type Wishers = Map<string, number>;

interface Shown {
  leased: LeasedJob;
  picture: PreviewPicture | null;
  wishers: Wishers;
  /** There is a picture that was not sent yet. */
  isUnsent: boolean;
  isUnnoted: boolean;
  notedAt: number;
}

/**
 * The last picture of each job that runs here, in memory. It is sent to API processes that asked for it lately, and to nobody
 * else: while nobody looks, a picture costs the place that it takes.
 */
export class Previews {
  readonly #giver: PreviewGiver;
  readonly #shown = new Map<object, Shown>();
  readonly #byJob = new Map<string, Shown>();
  /** By the ids of jobs, batches and tenants. */
  readonly #noted = new Map<string, Wishers>();
  #keptBytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(giver: PreviewGiver) {
    this.#giver = giver;
    giver.onWish((wish) => {
      this.#take(wish);
    });
  }

  /** The run's server sent a picture. One that is none, or is too large, is ignored. */
  note(run: { leased: LeasedJob }, preview: Preview): void {
    const mediaType = previewMediaTypes.find((known) => known === preview.mediaType);
    if (mediaType === undefined || !isPicture(preview, bytesMax)) return;
    const shown = this.#shown.get(run) ?? this.#begin(run);
    const before = shown.picture?.bytes.length ?? 0;
    if (this.#keptBytes - before + preview.bytes.length > keptBytesMax) return;
    this.#keptBytes += preview.bytes.length - before;
    const { jobId, attempt } = run.leased;
    // A copy: the bytes may be a part of a much larger message.
    shown.picture = { jobId, attempt, mediaType, bytes: Uint8Array.from(preview.bytes) };
    shown.isUnsent = true;
    shown.isUnnoted = true;
    if (this.#noted.size > 0) this.#tickSoon();
  }

  /** The run begins, so that what is wanted of it is remembered before its first picture comes. */
  begin(run: { leased: LeasedJob }): void {
    if (!this.#shown.has(run)) this.#begin(run);
  }

  /** The run has ended, or is no longer this worker's. */
  forget(run: { leased: LeasedJob }): void {
    const shown = this.#shown.get(run);
    if (shown === undefined) return;
    this.#shown.delete(run);
    this.#keptBytes -= shown.picture?.bytes.length ?? 0;
    const { jobId } = run.leased;
    if (this.#byJob.get(jobId) === shown) this.#byJob.delete(jobId);
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#giver.close();
  }

  #begin(run: { leased: LeasedJob }): Shown {
    const shown: Shown = {
      ...{ leased: run.leased, picture: null, wishers: new Map() },
      ...{ isUnsent: false, isUnnoted: false, notedAt: Number.NEGATIVE_INFINITY },
    };
    this.#shown.set(run, shown);
    this.#byJob.set(run.leased.jobId, shown);
    return shown;
  }

  #take({ from, pictures, notes }: PreviewWish): void {
    const until = performance.now() + wishMs;
    for (const jobId of pictures) {
      const shown = this.#byJob.get(jobId);
      if (shown === undefined) continue;
      const isNew = !shown.wishers.has(from);
      if (isNew && shown.wishers.size >= wishersMax) continue;
      shown.wishers.set(from, until);
      if (isNew && shown.picture !== null) this.#giver.sendPicture(from, shown.picture);
      this.#tickSoon();
    }
    for (const id of notes) {
      const wishers = this.#noted.get(id) ?? new Map<string, number>();
      if (!wishers.has(from) && (wishers.size >= wishersMax || this.#noted.size >= notedMax)) continue;
      this.#noted.set(id, wishers.set(from, until));
    }
    if (this.#noted.size > 0) this.#tickSoon();
  }

  /** Runs only while somebody wants something. */
  #tickSoon(): void {
    this.#timer ??= setInterval(() => {
      this.#tick();
    }, sendEveryMs);
  }

  #tick(): void {
    const now = performance.now();
    let isWanted = false;
    for (const [id, wishers] of this.#noted) {
      dropPast(wishers, now);
      if (wishers.size === 0) this.#noted.delete(id);
    }
    for (const shown of this.#byJob.values()) {
      dropPast(shown.wishers, now);
      if (shown.wishers.size > 0) isWanted = true;
      this.#sendPicture(shown);
      this.#sendNotes(shown, now);
    }
    if (isWanted || this.#noted.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #sendPicture(shown: Shown): void {
    if (!shown.isUnsent || shown.picture === null || shown.wishers.size === 0) return;
    shown.isUnsent = false;
    for (const to of shown.wishers.keys()) this.#giver.sendPicture(to, shown.picture);
  }

  #sendNotes(shown: Shown, now: number): void {
    if (!shown.isUnnoted || now - shown.notedAt < noteEveryMs) return;
    const { jobId, attempt, job } = shown.leased;
    const { batchId, tenantId } = job;
    const wishers = new Set(
      [jobId, batchId, tenantId].flatMap((id) =>
        id === null ? [] : [...(this.#noted.get(id)?.keys() ?? [])],
      ),
    );
    if (wishers.size === 0) return;
    shown.isUnnoted = false;
    shown.notedAt = now;
    for (const to of wishers) this.#giver.sendNote(to, { jobId, batchId, tenantId, attempt });
  }
}

function dropPast(wishers: Wishers, now: number): void {
  for (const [from, until] of wishers) if (until < now) wishers.delete(from);
}
