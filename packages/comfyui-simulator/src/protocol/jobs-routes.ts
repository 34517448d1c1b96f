import type { Executor } from "../execution/executor.ts";
import type { QueuedPrompt } from "../execution/prompt-heap.ts";
import type { HistoryEntry, PromptQueue } from "../execution/prompt-queue.ts";
import type { PythonJson } from "../python/python-json.ts";
import { isDict, toPythonInt, type PythonValue } from "../python/python-values.ts";
import { jsonReply, type Exchange, type Reply } from "./http-exchange.ts";
import type { HttpRouter } from "./http-router.ts";
import { asDict, iterate } from "./prompt-routes.ts";

type JobStatus = "pending" | "in_progress" | "completed" | "failed" | "cancelled";

interface Job {
  readonly status: JobStatus;
  readonly prompt: QueuedPrompt;
  readonly entry: HistoryEntry | undefined;
}

/** `/api/jobs` of newer servers (PROTOCOL 12): one list of what waits, runs and has ended. Never without `/api`. */
export class JobsRoutes {
  private readonly queue: PromptQueue;
  private readonly executor: Executor;

  constructor(queue: PromptQueue, executor: Executor) {
    this.queue = queue;
    this.executor = executor;
  }

  register(router: HttpRouter): void {
    router.addApiOnly("/jobs", { GET: (exchange) => this.list(exchange) });
    router.addApiOnly("/jobs/cancel", { POST: (exchange) => this.cancelMany(exchange) });
    router.addApiOnly("/jobs/{}", { GET: (exchange) => this.one(exchange) });
    router.addApiOnly("/jobs/{}/cancel", { POST: (exchange) => this.cancel(exchange) });
  }

  private jobs(): Job[] {
    const waiting = this.queue.waiting
      .list()
      .map((prompt): Job => ({ status: "pending", prompt, entry: undefined }));
    const running = this.queue
      .runningPrompts()
      .map((prompt): Job => ({ status: "in_progress", prompt, entry: undefined }));
    const ended = [...this.queue.historyPage(undefined, 0).values()].map((entry): Job => ({
      status: statusOf(entry),
      prompt: entry.prompt,
      entry,
    }));
    return [...waiting, ...running, ...ended];
  }

  private list({ query }: Exchange): Reply {
    const statuses = query.get("status")?.split(",");
    const workflowId = query.get("workflow_id");
    const sign = query.get("sort_order") === "asc" ? 1 : -1;
    const key = query.get("sort_by") === "execution_duration" ? durationOf : createTimeOf;
    const found = this.jobs()
      .filter((job) => statuses === undefined || statuses.includes(job.status))
      .filter((job) => workflowId === null || workflowIdOf(job.prompt) === workflowId)
      .sort((a, b) => sign * (key(a) - key(b)));
    const offset = wholeNumber(query.get("offset")) ?? 0;
    const limit = wholeNumber(query.get("limit"));
    const page = found.slice(offset, limit === undefined ? undefined : offset + limit);
    return jsonReply({
      jobs: page.map((job) => jobJson(job, false)),
      pagination: {
        offset,
        limit: limit ?? null,
        total: found.length,
        has_more: offset + page.length < found.length,
      },
    });
  }

  private one({ parameter }: Exchange): Reply {
    const job = this.jobs().find(({ prompt }) => prompt.promptId === parameter);
    return job ? jsonReply(jobJson(job, true)) : jsonReply({ error: "Job not found" }, 404);
  }

  private cancel({ parameter }: Exchange): Reply {
    return jsonReply({ cancelled: this.cancelOne(parameter) });
  }

  private async cancelMany(exchange: Exchange): Promise<Reply> {
    const body = asDict(await exchange.json());
    const cancelled = iterate(body.get("job_ids") ?? null).map((jobId) => this.cancelOne(jobId));
    return jsonReply({ cancelled: cancelled.some(Boolean) });
  }

  /** Running or waiting, in one step: the next prompt can never be hit instead. */
  private cancelOne(jobId: PythonValue): boolean {
    if (this.queue.runningPrompts().some(({ promptId }) => promptId === jobId)) {
      this.executor.interrupt();
      return true;
    }
    return this.queue.delete(jobId);
  }
}

function statusOf(entry: HistoryEntry): JobStatus {
  if (entry.status.completed) return "completed";
  return messageOf(entry, "execution_interrupted") ? "cancelled" : "failed";
}

function jobJson(job: Job, isWhole: boolean): PythonJson {
  const { prompt, entry } = job;
  const error = entry && messageOf(entry, "execution_error");
  const [started, ended] = entry ? timesOf(entry) : [undefined, undefined];
  return {
    id: prompt.promptId,
    status: job.status,
    priority: prompt.number,
    create_time: createTimeOf(job),
    ...(started === undefined ? {} : { execution_start_time: started }),
    ...(ended === undefined ? {} : { execution_end_time: ended }),
    ...(error ? { execution_error: error } : {}),
    outputs_count: entry ? entry.outputs.size : 0,
    workflow_id: workflowIdOf(prompt) ?? null,
    ...(isWhole
      ? { outputs: entry?.outputs ?? {}, workflow: { prompt: prompt.graph, extra_data: prompt.extraData } }
      : {}),
  };
}

function messageOf(entry: HistoryEntry, type: string): Readonly<Record<string, PythonJson>> | undefined {
  return entry.status.messages.find((message) => message.type === type)?.data;
}

function timesOf(entry: HistoryEntry): [number | undefined, number | undefined] {
  const stamp = (index: number): number | undefined => {
    const timestamp = entry.status.messages.at(index)?.data["timestamp"];
    return typeof timestamp === "number" ? timestamp : undefined;
  };
  return [stamp(0), stamp(-1)];
}

function createTimeOf({ prompt }: Job): number {
  const time = isDict(prompt.extraData) ? prompt.extraData.get("create_time") : undefined;
  return typeof time === "number" ? time : 0;
}

function durationOf({ entry }: Job): number {
  const [started = 0, ended = 0] = entry ? timesOf(entry) : [];
  return ended - started;
}

function workflowIdOf(prompt: QueuedPrompt): string | undefined {
  const info = isDict(prompt.extraData) ? prompt.extraData.get("extra_pnginfo") : undefined;
  const workflow = isDict(info ?? null) ? (info as Map<string, PythonValue>).get("workflow") : undefined;
  const id = isDict(workflow ?? null) ? (workflow as Map<string, PythonValue>).get("id") : undefined;
  return typeof id === "string" ? id : undefined;
}

function wholeNumber(text: string | null): number | undefined {
  return text === null ? undefined : Math.max(0, Number(toPythonInt(text)));
}
