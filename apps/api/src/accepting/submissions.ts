import { type JobType } from "@genga/jobs";
import { type Tracing } from "@genga/runtime";
import { answerOnce, type AnsweringParts } from "./answer-once.ts";
import { type AcceptedSubmission, type Submission } from "./answer-submission.ts";
import { type SubmissionThread } from "./submission-thread.ts";

/** A body of a job that is read and checked at once: some ten milliseconds at most. */
const smallBytes = 64 * 1024;

interface SubmissionsParts extends AnsweringParts {
  thread: Pick<SubmissionThread, "answer">;
  onAccepted: (type: JobType, count: number) => void;
  tracing: Pick<Tracing, "start">;
}

/** Accepts jobs: a single one here, and whatever may be large in a thread. */
export class Submissions {
  readonly #parts: SubmissionsParts;

  constructor(parts: SubmissionsParts) {
    this.#parts = parts;
  }

  /**
   * Its jobs continue the trace of the request.
   * @throws RefusedError @throws InvalidJobError @throws LimitReachedError @throws StoreUnavailableError
   */
  async accept(submission: Submission): Promise<AcceptedSubmission> {
    const { kind, traceparent: parent = null } = submission;
    const span = this.#parts.tracing.start(`submit ${kind}`, { parent, kind: "server" });
    submission.traceparent = span.traceparent ?? undefined;
    try {
      const accepted = await this.#accept(submission);
      span.end({ attributes: { "genga.jobs": sumOf(accepted.jobs) } });
      return accepted;
    } catch (error) {
      span.end({ error: error instanceof Error ? error.name : "refused" });
      throw error;
    }
  }

  async #accept(submission: Submission): Promise<AcceptedSubmission> {
    const { thread, onAccepted, ...parts } = this.#parts;
    const { kind, body } = submission;
    const isOne = kind === "prompt" || kind === "comfy-job" || (kind === "job" && !mayNameTemplate(body));
    const isSmall = isOne && body.byteLength <= smallBytes;
    const accepted = isSmall ? await answerOnce(submission, parts) : await thread.answer(submission);
    for (const [type, count] of Object.entries(accepted.jobs)) onAccepted(type as JobType, count);
    return accepted;
  }
}

function sumOf(counts: AcceptedSubmission["jobs"]): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/**
 * Whether a body may have the member `template`, whose graph may be large. A body that only has the word in a text goes
 * the same way.
 */
function mayNameTemplate(body: Uint8Array): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  // Nobody writes these letters in escapes, except to look like a small body.
  return text.includes("template") || /\\u00[67][0-9a-f]/i.test(text.toString("latin1"));
}
