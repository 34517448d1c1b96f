import { type Executor } from "../execution/executor.ts";
import { type QueuedPrompt } from "../execution/prompt-heap.ts";
import { type HistoryEntry, type PromptQueue } from "../execution/prompt-queue.ts";
import { type PythonJson, JsonDecodeError } from "../python/python-json.ts";
import { isDict, PythonError, pythonRepr, toPythonInt, type PythonValue } from "../python/python-values.ts";
import { jsonReply, type Exchange, type Reply } from "./http-exchange.ts";
import { type HttpRouter } from "./http-router.ts";
import { historyJob, queueJob, type Job } from "./job-json.ts";
import { isJobId } from "./job-ids.ts";

const knownStatuses = ["pending", "in_progress", "completed", "failed", "cancelled"];

/**
 * `/api/jobs` of 0.28 (PROTOCOL-0.28, 4): one list of waiting, running and ended prompts. The routes exist only under
 * `/api`.
 */
export class JobsRoutes {
  readonly #queue: PromptQueue;
  readonly #executor: Executor;

  constructor(queue: PromptQueue, executor: Executor) {
    this.#queue = queue;
    this.#executor = executor;
  }

  register(router: HttpRouter): void {
    router.addApiOnly("/jobs", { GET: (exchange) => this.#list(exchange) });
    router.addApiOnly("/jobs/cancel", { POST: (exchange) => this.#cancelMany(exchange) });
    router.addApiOnly("/jobs/{}", { GET: (exchange) => this.#one(exchange) });
    router.addApiOnly("/jobs/{}/cancel", { POST: (exchange) => this.#cancel(exchange) });
  }

  #list({ query }: Exchange): Reply {
    const statuses = (query.get("status") ?? "").split(",").flatMap((status) => {
      const name = status.trim().toLowerCase();
      return name === "" ? [] : [name];
    });
    const strange = statuses.filter((status) => !knownStatuses.includes(status));
    if (strange.length > 0) {
      const valid = `Valid values: ${knownStatuses.join(", ")}`;
      return badRequest(`Invalid status value(s): ${strange.join(", ")}. ${valid}`);
    }
    const sortBy = (query.get("sort_by") ?? "created_at").toLowerCase();
    if (!["created_at", "execution_duration"].includes(sortBy)) {
      return badRequest("sort_by must be 'created_at' or 'execution_duration'");
    }
    const sortOrder = (query.get("sort_order") ?? "desc").toLowerCase();
    if (!["asc", "desc"].includes(sortOrder)) return badRequest("sort_order must be 'asc' or 'desc'");
    const limit = wholeNumber(query.get("limit"));
    if (limit === "no number") return badRequest("limit must be an integer");
    if (limit !== undefined && limit <= 0) return badRequest("limit must be a positive integer");
    const offset = wholeNumber(query.get("offset")) ?? 0;
    if (offset === "no number") return badRequest("offset must be an integer");
    const workflowId = query.get("workflow_id") ?? "";
    const wanted = statuses.length > 0 ? statuses : (query.get("status") ?? "") === "" ? knownStatuses : [];
    const sign = sortOrder === "asc" ? 1 : -1;
    const key = sortBy === "execution_duration" ? durationOf : createTimeOf;
    const found = this.#jobs(wanted)
      .filter((job) => workflowId === "" || job["workflow_id"] === workflowId)
      .sort((a, b) => sign * (key(a) - key(b)));
    return page(found, Math.max(0, offset), limit);
  }

  /** Reads only the requested lists, so that an unreadable entry breaks only the lists that contain it. */
  #jobs(statuses: readonly string[]): Job[] {
    const running = statuses.includes("in_progress") ? this.#queue.runningPrompts() : [];
    const waiting = statuses.includes("pending") ? this.#queue.waiting.list() : [];
    const wantsEnded = statuses.some((status) => status !== "in_progress" && status !== "pending");
    const ended = wantsEnded ? [...this.#queue.historyPage(undefined, 0).values()] : [];
    return [
      ...running.map((prompt) => queueJob(prompt, "in_progress")),
      ...waiting.map((prompt) => queueJob(prompt, "pending")),
      ...ended
        .map((entry) => historyJob(entry))
        .filter((job) => statuses.some((status) => status === job["status"])),
    ];
  }

  /** An ended prompt with the same id hides a waiting or running one. */
  #one({ parameter }: Exchange): Reply {
    const entry: HistoryEntry | undefined = this.#queue.historyEntry(parameter);
    if (entry) return jsonReply(historyJob(entry, true));
    const hasId = (prompt: QueuedPrompt): boolean => prompt.promptId === parameter;
    const running = this.#queue.runningPrompts().find(hasId);
    if (running) return jsonReply(queueJob(running, "in_progress"));
    const waiting = this.#queue.waiting.list().find(hasId);
    return waiting ? jsonReply(queueJob(waiting, "pending")) : jsonReply({ error: "Job not found" }, 404);
  }

  #cancel({ parameter }: Exchange): Reply {
    return jsonReply({ cancelled: this.#cancelOne(parameter) });
  }

  async #cancelMany(exchange: Exchange): Promise<Reply> {
    let body: PythonValue;
    try {
      body = await exchange.json();
    } catch (error) {
      if (!(error instanceof JsonDecodeError)) throw error;
      return badRequest("Request body must be valid JSON");
    }
    const jobIds = isDict(body) ? body.get("job_ids") : undefined;
    if (!Array.isArray(jobIds)) return badRequest("job_ids must be a list");
    const strange = jobIds.filter((jobId) => !isJobId(jobId));
    if (strange.length > 0) {
      const invalid = strange.map((jobId) => (typeof jobId === "string" ? jobId : pythonRepr(jobId)));
      return jsonReply({ error: "job_ids contains invalid id(s)", invalid_ids: invalid }, 400);
    }
    const cancelled = jobIds.map((jobId) => this.#cancelOne(jobId));
    return jsonReply({ cancelled: cancelled.some(Boolean) });
  }

  /** Cancels a running or waiting prompt in one step, so that the next prompt can never be cancelled instead. */
  #cancelOne(jobId: PythonValue): boolean {
    if (this.#queue.runningPrompts().some(({ promptId }) => promptId === jobId)) {
      this.#executor.interrupt();
      return true;
    }
    return this.#queue.delete(jobId);
  }
}

function page(found: readonly Job[], offset: number, limit: number | undefined): Reply {
  const jobs: readonly PythonJson[] = found.slice(offset, limit === undefined ? undefined : offset + limit);
  const hasMore = offset + jobs.length < found.length;
  return jsonReply({
    jobs,
    pagination: { offset, limit: limit ?? null, total: found.length, has_more: hasMore },
  });
}

function badRequest(error: string): Reply {
  return jsonReply({ error }, 400);
}

function createTimeOf(job: Job): number {
  const time = job["create_time"];
  return typeof time === "number" ? time : 0;
}

function durationOf(job: Job): number {
  const [start, end] = [job["execution_start_time"], job["execution_end_time"]];
  return typeof start === "number" && typeof end === "number" ? end - start : 0;
}

function wholeNumber(text: string | null): number | undefined | "no number" {
  if (text === null) return undefined;
  try {
    return Number(toPythonInt(text));
  } catch (error) {
    if (error instanceof PythonError) return "no number";
    throw error;
  }
}
