import { type PreviewNote, type PreviewPicture, type PreviewTaker } from "@genga/jobs";
import { type PreviewsOptions, RedisPreviewTaker } from "@genga/queue";
import { LRUCache } from "lru-cache";

/** How often the workers are told what is wanted; a wish holds for three times as long. */
const wishEveryMs = 2_000;
/** A worker has forgotten a wish by then. Until then it sends each new picture, and none a second time. */
const heldMs = 10_000;
/** Who asked for a picture will probably ask again within this time. */
const interestMs = 5_000;
/** How long the first request for a job's picture waits for it. */
const firstPictureMs = 700;
/** Jobs whose pictures are wanted at once, by requests, and things whose notes are, by streams. */
const wantedMax = 1_000;
const picturesMax = 256;
const picturesBytesMax = 64 * 1024 * 1024;

/** Connects to Redis when the first client wants a preview. */
export function createLivePreviews(options: PreviewsOptions): LivePreviews {
  return new LivePreviews(new RedisPreviewTaker(options));
}

interface Interest {
  since: number;
  /** It is wished for until then. */
  until: number;
  /** The worker that has the job may send its pictures until then, so they are kept. */
  heldUntil: number;
}

/**
 * Previews as this process sees them: it asks the workers for those that its clients want, for as long as they do, and keeps
 * the last picture of each until the workers have forgotten the wish. While no client wants any, it does nothing.
 */
export class LivePreviews {
  readonly #taker: PreviewTaker;
  readonly #interests = new Map<string, Interest>();
  readonly #watchers = new Map<string, Set<(note: PreviewNote) => void>>();
  readonly #pictures = new LRUCache<string, PreviewPicture>({
    max: picturesMax,
    maxSize: picturesBytesMax,
    sizeCalculation: ({ bytes }) => Math.max(bytes.length, 1),
  });
  readonly #waiting = new Map<string, Set<() => void>>();
  #timer: NodeJS.Timeout | null = null;

  constructor(taker: PreviewTaker) {
    this.#taker = taker;
    taker.onPicture((picture) => {
      if (!this.#interests.has(picture.jobId)) return;
      this.#pictures.set(picture.jobId, picture);
      for (const wake of this.#waiting.get(picture.jobId) ?? []) wake();
    });
    taker.onNote((note) => {
      for (const id of [note.jobId, note.batchId, note.tenantId])
        for (const tell of (id === null ? undefined : this.#watchers.get(id)) ?? []) tell(note);
    });
  }

  /**
   * The last picture of a job's attempt; `null` = there is none, as far as the workers tell in a short time.
   * @param signal the client has left
   */
  async latest(jobId: string, attempt: number, signal: AbortSignal): Promise<PreviewPicture | null> {
    const isNew = this.#want(jobId);
    if (isNew === null) return null;
    if (isNew || (!this.#pictures.has(jobId) && this.#isYoung(jobId))) await this.#picture(jobId, signal);
    const picture = this.#pictures.get(jobId);
    return picture?.attempt === attempt ? picture : null;
  }

  /**
   * Calls `tell` when there is a new picture of a job, or of one of the batch's or tenant's jobs; at most once a second for
   * each job. @returns what ends that
   */
  watch(id: string, tell: (note: PreviewNote) => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set();
    const isNew = watchers.size === 0;
    this.#watchers.set(id, watchers.add(tell));
    if (isNew) this.#taker.wish({ pictures: [], notes: [id] });
    this.#renew();
    return () => {
      watchers.delete(tell);
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id);
    };
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#pictures.clear();
    await this.#taker.close();
  }

  /** @returns whether nobody has wanted it lately; `null` = too many are wanted */
  #want(jobId: string): boolean | null {
    const now = performance.now();
    const known = this.#interests.get(jobId);
    if (known === undefined && this.#interests.size >= wantedMax) return null;
    const isWished = known !== undefined && known.until > now;
    const since = known?.since ?? now;
    const heldUntil = isWished ? known.heldUntil : now + heldMs;
    this.#interests.set(jobId, { since, until: now + interestMs, heldUntil });
    if (!isWished) this.#taker.wish({ pictures: [jobId], notes: [] });
    this.#renew();
    return known === undefined;
  }

  /** The worker may not have answered yet. */
  #isYoung(jobId: string): boolean {
    const since = this.#interests.get(jobId)?.since ?? Number.NEGATIVE_INFINITY;
    return performance.now() - since < firstPictureMs;
  }

  async #picture(jobId: string, signal: AbortSignal): Promise<void> {
    if (this.#pictures.has(jobId) || signal.aborted) return;
    const waiting = this.#waiting.get(jobId) ?? new Set();
    this.#waiting.set(jobId, waiting);
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, firstPictureMs);
      signal.addEventListener("abort", wake, { once: true });
      waiting.add(wake);
    });
    if (waiting.size === 0) this.#waiting.delete(jobId);
  }

  /** Says again what is wanted, until nothing is. */
  #renew(): void {
    this.#timer ??= setInterval(() => {
      const pictures = this.#stillWanted(performance.now());
      const notes = [...this.#watchers.keys()].slice(0, wantedMax);
      if (pictures.length + notes.length > 0) this.#taker.wish({ pictures, notes });
      else if (this.#interests.size === 0 && this.#timer !== null) {
        clearInterval(this.#timer);
        this.#timer = null;
      }
    }, wishEveryMs);
  }

  /** Forgets what no client wants and no worker sends any more. */
  #stillWanted(now: number): string[] {
    const wanted: string[] = [];
    for (const [jobId, interest] of this.#interests) {
      if (interest.until > now) {
        interest.heldUntil = now + heldMs;
        wanted.push(jobId);
      } else if (interest.heldUntil <= now) {
        this.#interests.delete(jobId);
        this.#pictures.delete(jobId);
      }
    }
    return wanted;
  }
}
