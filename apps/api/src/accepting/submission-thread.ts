import { fileURLToPath } from "node:url";
import { type NotChecked } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";
import { Piscina } from "piscina";
import { RefusedError } from "../http/problem-document.ts";
import { type AcceptedSubmission, type Submission } from "./answer-submission.ts";
import { type ThreadReply, type ThreadSettings, type ThreadTask } from "./thread-messages.ts";

/** Large submissions that the thread has in hand at once; they take turns in it. The others wait before it. */
const atOnce = 4;
/** Of the thread's heap: a body of 20 MB, parsed, checked and stored, takes a fraction of it. */
const defaultHeapMaxMb = 1_024;

export interface SubmissionThreadOptions extends ThreadSettings {
  log: Logger;
  heapMaxMb?: number;
  /** Called with the inputs that were not checked: how many, and one of each node class. */
  onNotChecked: (notes: readonly NotChecked[], count: number) => void;
  /** Called when the thread ended without being asked to. */
  onEnded: () => void;
}

/**
 * Has large submissions read, checked and stored by a thread, so that the event loop of the API is free meanwhile. What
 * comes back is the finished answer. The thread also adds the jobs' tickets, after the answer.
 */
export class SubmissionThread {
  readonly #options: SubmissionThreadOptions;
  readonly #pool: Piscina<ThreadTask, ThreadReply>;
  #isClosed = false;

  constructor(options: SubmissionThreadOptions) {
    this.#options = options;
    const { settings, defaultTenantId, serversMaxAgeMs, log, heapMaxMb = defaultHeapMaxMb } = options;
    this.#pool = new Piscina({
      filename: fileURLToPath(new URL("./thread-entry.mjs", import.meta.url)),
      name: "work",
      workerData: { settings, defaultTenantId, serversMaxAgeMs } satisfies ThreadSettings,
      ...{
        // Some 120 MB, also at rest: its start takes a second of processor time, in which a first batch would wait.
        minThreads: settings.submissionThread === "at-start" ? 1 : 0,
        maxThreads: 1,
        idleTimeout: Infinity,
        concurrentTasksPerWorker: atOnce,
        execArgv: [],
      },
      // Between two tasks the thread goes on to add tickets and to keep its connections alive.
      atomics: "disabled",
      resourceLimits: { maxOldGenerationSizeMb: heapMaxMb },
    });
    this.#pool.on("workerDestroy", () => {
      if (!this.#isClosed) options.onEnded();
    });
    // Its end while nothing was asked of it; the pool starts another one.
    this.#pool.on("error", (error: unknown) => {
      log.error({ err: error }, "the thread for large submissions ended");
    });
  }

  /** @throws RefusedError */
  async answer(submission: Submission): Promise<AcceptedSubmission> {
    const reply = await this.#run({ kind: "answer", submission: withOwnBuffer(submission) });
    if (reply.kind === "accepted") {
      this.#options.onNotChecked(reply.notChecked.ofClasses, reply.notChecked.count);
      return reply;
    }
    if (reply.kind === "ended") throw interrupted(undefined);
    const { code, detail, problems, headers, limit, cause } = reply;
    throw new RefusedError(code, detail, {
      ...(problems !== undefined && { problems }),
      headers: { ...headers },
      limit,
      ...(cause !== undefined && { cause: Object.assign(new Error("in the thread"), { stack: cause }) }),
    });
  }

  /** Submissions under way are answered first. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#pool.threads.length > 0) await this.#pool.run({ kind: "end" }).catch(() => undefined);
    await this.#pool.destroy();
  }

  async #run(task: ThreadTask & { kind: "answer" }): Promise<ThreadReply> {
    if (this.#isClosed) throw interrupted(undefined);
    try {
      return await this.#pool.run(task, { transferList: [task.submission.body.buffer] });
    } catch (error) {
      this.#options.log.error({ err: error }, "the thread for large submissions ended before it answered");
      throw interrupted(error);
    }
  }
}

/** The bytes are moved into the thread; a small body may share its memory with others, and is copied. */
function withOwnBuffer(submission: Submission): Submission {
  const { body } = submission;
  return body.byteLength === body.buffer.byteLength
    ? submission
    : { ...submission, body: new Uint8Array(body) };
}

function interrupted(cause: unknown): RefusedError {
  return new RefusedError(
    "submission-interrupted",
    "The part of this process that takes large submissions ended before it answered. It is not known whether the jobs " +
      "were stored; look before you repeat the request.",
    { headers: { "retry-after": "2" }, cause },
  );
}
