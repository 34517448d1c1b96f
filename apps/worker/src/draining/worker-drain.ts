import { type Logger } from "@genga/runtime";
import { Coalescer } from "../timing/coalescer.ts";

/** `serving`: it takes jobs. `draining`: it takes none, and has some. `drained`: it has none any more. */
export type DrainState = "serving" | "draining" | "drained";

export interface WorkerDrainOptions {
  /** Jobs that this worker runs now, also those whose outputs are being saved. */
  jobsHeld: () => number;
  /** Resolves when no job can be claimed any more that was chosen before this call. */
  claimsEnded: () => Promise<void>;
  /** Jobs that are processed on servers in this worker's care, whoever holds their leases. */
  jobsOnServers: () => Promise<number>;
  /** Called when it begins to drain, and when it takes jobs again. */
  onChange: (isDraining: boolean) => void;
  log: Logger;
}

/**
 * The drain of one worker: it takes no new job, lets the prompts of its servers end, and says when it is empty. Unlike the
 * hand-over at its end this is for servers that end with the worker, such as the ComfyUI in its own pod: nobody could adopt
 * their prompts.
 */
export class WorkerDrain {
  readonly #options: WorkerDrainOptions;
  readonly #looks = new Coalescer(() => this.#look());
  readonly #waiting = new Set<() => void>();
  #state: DrainState = "serving";
  /** Counts the drains, so that a look that began in an earlier one concludes nothing. */
  #number = 0;

  constructor(options: WorkerDrainOptions) {
    this.#options = options;
  }

  get state(): DrainState {
    return this.#state;
  }

  get isDraining(): boolean {
    return this.#state !== "serving";
  }

  begin(why: string): void {
    if (this.isDraining) return;
    this.#state = "draining";
    this.#number += 1;
    const { onChange, jobsHeld, log } = this.#options;
    log.info({ why, jobsHeld: jobsHeld() }, "draining: this worker takes no new jobs");
    onChange(true);
    this.look();
  }

  end(why: string): void {
    if (!this.isDraining) return;
    this.#state = "serving";
    this.#options.log.info({ why }, "resumed: this worker takes jobs again");
    this.#options.onChange(false);
    this.#tellWaiting();
  }

  /** Looks whether it is empty. To be called when a job has ended, and now and then: jobs of dead workers may be adopted. */
  look(): void {
    if (this.isDraining) void this.#looks.trigger();
  }

  /** Resolves when it is drained, when it takes jobs again, or with the signal's end. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.#state === "draining" && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        this.#waiting.add(done);
        signal.addEventListener("abort", done);
      });
    }
  }

  async #look(): Promise<void> {
    const number = this.#number;
    const { jobsHeld, claimsEnded, jobsOnServers, log } = this.#options;
    try {
      await claimsEnded();
      const isEmpty = jobsHeld() === 0 && (await jobsOnServers()) === 0 && jobsHeld() === 0;
      if (!this.isDraining || number !== this.#number) return;
      if (isEmpty === (this.#state === "drained")) return;
      this.#state = isEmpty ? "drained" : "draining";
    } catch (error) {
      log.debug({ err: error }, "whether this worker is empty is not known yet");
      return;
    }
    if (this.#state === "drained") {
      log.info("drained: this worker is empty, and may be ended");
      this.#tellWaiting();
    } else log.info({ jobsHeld: jobsHeld() }, "draining: this worker adopted jobs of another one");
  }

  #tellWaiting(): void {
    for (const tell of this.#waiting) tell();
  }
}
