import { isObject, parsePythonJson, stringifyExactJson } from "@genga/comfyui";
import { type Principal } from "@genga/jobs";
import { anyBody, jsonOf, queryOf, type DoorRequest, type DoorRoute } from "../door-route.ts";
import { type DoorParts } from "../door-parts.ts";
import { promptTexts } from "../door-history.ts";
import { cancelPrompts } from "../cancel-prompts.ts";
import {
  serverJobStatuses,
  summaryOf,
  summaryOfEnded,
  type HistoryEntry,
  type JobSummary,
  type ServerJobStatus,
} from "../job-summary.ts";

/** Ended prompts among which is listed: the newest ones. */
const endedMax = 1_000;
const uuidShape = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** A refusal in the form of these routes. */
class JobsRefusedError extends Error {
  override readonly name = "JobsRefusedError";
}

export const listJobs: DoorRoute = {
  id: "listJobs",
  method: "GET",
  path: "/jobs",
  isApiOnly: true,
  isPolled: true,
  handle: (asked, parts) =>
    answering(asked, async () => {
      const wanted = readListing(asked);
      const { statuses } = wanted;
      const all = (await summaries(asked.principal, statuses ?? serverJobStatuses, parts)).filter(
        ({ status, workflow_id: workflowId }) =>
          statuses?.includes(status) !== false &&
          (wanted.workflowId === undefined || wanted.workflowId === workflowId),
      );
      all.sort((one, other) => wanted.direction * (wanted.keyOf(one) - wanted.keyOf(other)));
      const { offset, limit } = wanted;
      const jobs = all.slice(offset, limit === null ? undefined : offset + limit);
      const hasMore = offset + jobs.length < all.length;
      return { jobs, pagination: { offset, limit, total: all.length, has_more: hasMore } };
    }),
};

export const getJob: DoorRoute = {
  id: "getJob",
  method: "GET",
  path: "/jobs/:promptId",
  isApiOnly: true,
  isPolled: true,
  handle: async ({ request, response, principal }, { door }) => {
    const promptId = String(request.params["promptId"]);
    const { tenant, keyName } = principal;
    const [prompt] = promptId.includes("\0") ? [] : await door.prompts.findByPromptIds(tenant.id, [promptId]);
    const isActive = prompt?.status === "queued" || prompt?.status === "processing";
    if (prompt !== undefined && isActive && prompt.keyName === keyName) {
      response.type("json").send(stringifyExactJson(summaryOf({ ...prompt, extraData: null })));
      return;
    }
    const ended = prompt === undefined || isActive ? null : await door.prompts.findEnded(tenant.id, promptId);
    if (ended === null) {
      response.status(404).json({ error: "Job not found" });
      return;
    }
    const ending = parsePythonJson(await door.history.endingOf(ended)) as HistoryEntry;
    const about = stringifyExactJson({
      ...summaryOfEnded(ended, ending),
      ...{ outputs: ending.outputs, execution_status: ending.status },
    });
    const { graph, extraData } = promptTexts(ended, { isNewer: await door.history.isNewer() });
    const workflow = `{"prompt":${graph},"extra_data":${extraData}}`;
    response.type("json").send(`${about.slice(0, -1)},"workflow":${workflow}}`);
  },
};

export const cancelJob: DoorRoute = {
  id: "cancelJob",
  method: "POST",
  path: "/jobs/:promptId/cancel",
  isApiOnly: true,
  receive: anyBody,
  handle: async ({ request, response, principal }, parts) => {
    const promptId = String(request.params["promptId"]);
    const isCancelled =
      !promptId.includes("\0") && (await cancelPrompts({ promptIds: [promptId] }, principal, parts));
    response.json({ cancelled: isCancelled });
  },
};

export const cancelJobs: DoorRoute = {
  id: "cancelJobs",
  method: "POST",
  path: "/jobs/cancel",
  isApiOnly: true,
  receive: anyBody,
  handle: async ({ request, response, principal }, parts) => {
    const body = await jsonOf(request).catch(() => undefined);
    if (body === undefined) {
      response.status(400).json({ error: "Request body must be valid JSON" });
      return;
    }
    const given = isObject(body) ? body["job_ids"] : undefined;
    if (!Array.isArray(given)) {
      response.status(400).json({ error: "job_ids must be a list" });
      return;
    }
    const invalid = given.filter((id: unknown) => typeof id !== "string" || !uuidShape.test(id));
    if (invalid.length > 0) {
      const shown = invalid.slice(0, 100).map((id: unknown) => String(id).slice(0, 200));
      response.status(400).json({ error: "job_ids contains invalid id(s)", invalid_ids: shown });
      return;
    }
    const promptIds = given as string[];
    const isCancelled = promptIds.length > 0 && (await cancelPrompts({ promptIds }, principal, parts));
    response.json({ cancelled: isCancelled });
  },
};

/** Those of these statuses, and perhaps others. */
async function summaries(
  { tenant, keyName }: Principal,
  statuses: readonly ServerJobStatus[],
  { door }: DoorParts,
): Promise<JobSummary[]> {
  // One that ends between the two reads is listed as ended.
  const all = new Map<string, JobSummary>();
  if (statuses.some(isOpen)) {
    for await (const page of door.prompts.listActive(tenant.id, keyName, [], { withoutGraphs: true }))
      for (const prompt of page) all.set(prompt.jobId, summaryOf(prompt));
  }
  if (statuses.every(isOpen)) return [...all.values()];
  for await (const page of door.prompts.listEnded(tenant.id, { max: endedMax, withoutGraphs: true })) {
    for (const prompt of page) {
      const ending = parsePythonJson(await door.history.endingOf(prompt)) as HistoryEntry;
      all.set(prompt.jobId, summaryOfEnded(prompt, ending));
    }
  }
  return [...all.values()];
}

function isOpen(status: ServerJobStatus): boolean {
  return status === "pending" || status === "in_progress";
}

async function answering({ response }: DoorRequest, answer: () => Promise<object>): Promise<void> {
  try {
    response.type("json").send(stringifyExactJson(await answer()));
  } catch (error) {
    if (!(error instanceof JobsRefusedError)) throw error;
    response.status(400).json({ error: error.message });
  }
}

interface Listing {
  statuses: ServerJobStatus[] | undefined;
  workflowId: string | undefined;
  keyOf: (job: JobSummary) => number;
  direction: 1 | -1;
  limit: number | null;
  offset: number;
}

/** @throws JobsRefusedError in the words of a server */
function readListing({ request }: DoorRequest): Listing {
  const sortBy = queryOf(request, "sort_by") ?? "created_at";
  const order = queryOf(request, "sort_order") ?? "desc";
  if (sortBy !== "created_at" && sortBy !== "execution_duration")
    throw new JobsRefusedError("sort_by must be 'created_at' or 'execution_duration'");
  if (order !== "asc" && order !== "desc") throw new JobsRefusedError("sort_order must be 'asc' or 'desc'");
  const limit = wholeNumber("limit", queryOf(request, "limit"));
  if (limit !== null && limit < 1) throw new JobsRefusedError("limit must be a positive integer");
  return {
    statuses: readStatuses(queryOf(request, "status") ?? ""),
    workflowId: queryOf(request, "workflow_id"),
    keyOf: sortBy === "created_at" ? (job) => job.create_time : durationOf,
    direction: order === "asc" ? 1 : -1,
    limit,
    offset: Math.max(wholeNumber("offset", queryOf(request, "offset")) ?? 0, 0),
  };
}

function durationOf({ execution_start_time: from = 0, execution_end_time: to = 0 }: JobSummary): number {
  return to - from;
}

function readStatuses(text: string): ServerJobStatus[] | undefined {
  const named = text
    .split(",")
    .map((each) => each.trim().toLowerCase())
    .filter((each) => each !== "");
  const known = serverJobStatuses.filter((status) => named.includes(status));
  const others = named.filter((each) => !serverJobStatuses.some((status) => status === each));
  if (others.length > 0) {
    const valid = serverJobStatuses.join(", ");
    throw new JobsRefusedError(
      `Invalid status value(s): ${others.join(", ").slice(0, 200)}. Valid values: ${valid}`,
    );
  }
  return named.length === 0 ? undefined : known;
}

function wholeNumber(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new JobsRefusedError(`${name} must be an integer`);
}
