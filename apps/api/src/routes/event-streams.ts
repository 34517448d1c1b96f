import { jobStatuses, type EventScope, type JobEvent, type JobStatus, type Principal } from "@genga/jobs";
import { type Request, type Response } from "express";
import { z } from "zod";
import { latestSight } from "../access/sight.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { openEventStream, type StreamParts } from "../jobs/open-event-stream.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { withoutUndefined } from "../http/request-values.ts";
import { cursorOfText } from "../jobs/cursor-text.ts";
import { foundBatch } from "../jobs/found-jobs.ts";
import { viewOfEvent } from "../jobs/job-view.ts";
import { WantedJobs, type JobChoice } from "../jobs/wanted-jobs.ts";
import { watchScope, type WatchedScope } from "../jobs/watch-scope.ts";
import { type Answer } from "../routing/contents.ts";
import { alreadySent, route } from "../routing/route.ts";
import { watchedPreviews } from "../jobs/preview-view.ts";
import { labelQueryFields, previewsField } from "./list-queries.ts";

type Parts = StreamParts &
  Pick<ApiDependencies, "ownJobs" | "jobDetails" | "feed" | "watchTimes" | "livePreviews">;

/** The status that a job has after an event. */
const statusAfter: Record<JobEvent["type"], JobStatus> = {
  ...{
    accepted: "queued",
    requeued: "queued",
    retry_requested: "queued",
    paused: "queued",
    resumed: "queued",
  },
  ...{ priority_changed: "queued", claimed: "processing", submitted: "processing", executing: "processing" },
  ...{ saving: "processing", adopted: "processing", cancel_requested: "processing", completed: "completed" },
  ...{ failed: "failed", timeout: "timeout", cancelled: "cancelled" },
};

const resumable = z.object({
  "Last-Event-ID": z
    .string()
    .optional()
    .describe(
      "The id of the last message that was received; what came after it is told first, without a snapshot.",
    ),
});

const queryFields = {
  status: z
    .array(z.enum(jobStatuses))
    .min(1)
    .max(20)
    .optional()
    .describe("Only events after which a job has one of these statuses; separated by commas."),
  ...labelQueryFields,
  ...previewsField,
  // Anything else than the id of a message is ignored, not refused.
  lastEventId: z
    .unknown()
    .meta({ type: "string", description: "As `Last-Event-ID`, for clients that cannot set headers." })
    .optional(),
};

const description =
  "Server-sent events: `snapshot` comes first, then `event` (a JobEvent) and `progress` (in between, without an id, at most ten a " +
  "second for each job). The id of a message says where the client stands, across all jobs and API processes: with it nothing is " +
  "missed and nothing told twice. If that is too long ago, a new `snapshot` says so. `closed` is the last message under a key that was " +
  "revoked or has expired meanwhile.";

const problems: readonly ProblemCode[] = [
  ...(["batch-not-found", "batch-removed", "too-many-streams"] as const),
  ...(["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"] as const),
];

const example = [
  'event: snapshot\nid: 5120\ndata: {"counts": {"queued": 12, "processing": 2, …}, …}\n',
  'event: progress\ndata: {"jobId": "01a213f0-…", "attempt": 1, "phase": "executing", "progress": {"percent": 42, …}}\n',
  'event: event\nid: 5121\ndata: {"jobId": "01a213f0-…", "sequence": 5, "type": "completed", …}\n\n',
].join("\n");

/** @param snapshot what the snapshots of the stream are */
function streamOf(snapshot: string): Answer {
  const schema = {
    type: "object",
    description: "Each message.",
    required: ["event", "data"],
    properties: {
      event: { type: "string", enum: ["snapshot", "event", "progress", "preview", "removed", "closed"] },
      id: { type: "string", pattern: "^[0-9]+(\\.[A-Za-z0-9_-]{22}-[0-9]+)*$" },
      data: {
        type: "string",
        contentMediaType: "application/json",
        contentSchema: {
          anyOf: [
            { $ref: `#/components/schemas/${snapshot}` },
            { $ref: "#/components/schemas/JobEvent" },
            {
              type: "object",
              description:
                "Of `progress`: jobId, attempt, phase, progress. Of `removed`: batchId. Of `closed`: reason (`key-not-valid`).",
            },
          ],
        },
      },
    },
  };
  return { description: "The stream.", content: { "text/event-stream": { schema, example } } };
}

export const watchBatch = route({
  id: "watchBatch",
  tag: "jobs",
  method: "GET",
  path: "batches/:id/events",
  access: "read",
  subject: "batch",
  summary: "What happens to the jobs of a batch, live",
  description:
    `${description} Snapshots are BatchDetails. Once all jobs have ended, a last one comes, and the stream ends. \`removed\` ends the ` +
    "stream of a batch that is removed meanwhile.",
  query: z.strictObject(queryFields),
  headers: resumable,
  answers: {
    200: streamOf("BatchDetail"),
    204: { description: "All jobs have ended, and the client has seen everything: do not connect again." },
  },
  problems,
  handler: async ({ id, query, headers, principal, baseUrl, request, response }, parts: Parts) => {
    const { ownJobs, jobDetails, feed } = parts;
    const jobs = ownJobs(principal);
    const scope = { batchId: id };
    const cursor = cursorOfText(headers["Last-Event-ID"] ?? query.lastEventId);
    const countOpen = async (): Promise<number> => {
      const { counts } = await foundBatch(jobs, id);
      return counts.queued + counts.processing;
    };
    // Nothing can follow: this tells an EventSource to stop connecting again.
    const hasSeenAll =
      (await countOpen()) === 0 && cursor !== null && !(await feed.hasNewsAfter(scope, cursor.position));
    if (hasSeenAll) return { status: 204 };
    const snapshot = async (): Promise<unknown> => {
      return await jobDetails.ofBatch(await foundBatch(jobs, id), { principal, baseUrl });
    };
    const asked = { ...{ request, response, principal, baseUrl, cursor }, ...chosen(query) };
    await stream({ ...asked, scope, snapshot, countOpen }, parts);
    return alreadySent;
  },
});

export const watchJobs = route({
  id: "watchJobs",
  tag: "jobs",
  method: "GET",
  path: "events",
  access: "read",
  summary: "What happens to all jobs, live",
  description: `${description} Snapshots are the counts of all of the tenant's jobs, as in the queue; of a batch, it is the batch.`,
  query: z.strictObject({ batch: z.uuid({ error: "is not a batch's id" }).optional(), ...queryFields }),
  headers: resumable,
  answers: { 200: streamOf("JobCounts") },
  problems,
  handler: async (
    { query, headers, principal, baseUrl, request, response },
    parts: Parts,
  ): Promise<typeof alreadySent> => {
    const { ownJobs, jobDetails } = parts;
    const jobs = ownJobs(principal);
    const batchId = query.batch?.toLowerCase();
    if (batchId !== undefined) await foundBatch(jobs, batchId);
    const snapshot = async (): Promise<unknown> => {
      if (batchId === undefined) return { counts: (await jobs.summarizeQueue()).counts };
      return await jobDetails.ofBatch(await foundBatch(jobs, batchId), { principal, baseUrl });
    };
    const cursor = cursorOfText(headers["Last-Event-ID"] ?? query.lastEventId);
    const scope = batchId === undefined ? { tenantId: principal.tenant.id } : { batchId };
    // Goes on after the end of a batch, and tells its removal.
    const countOpen = async (): Promise<number> => {
      if (batchId !== undefined) await foundBatch(jobs, batchId);
      return Infinity;
    };
    const asked = { ...{ request, response, principal, baseUrl, cursor }, ...chosen(query) };
    await stream({ ...asked, scope, snapshot, countOpen }, parts);
    return alreadySent;
  },
});

interface Chosen {
  choice: JobChoice;
  wantsPreviews: boolean;
  statuses: ReadonlySet<JobStatus>;
}

function chosen({
  status,
  previews,
  ...query
}: { status?: JobStatus[] | undefined; previews?: string | undefined } & Record<string, unknown>): Chosen {
  const { project, scene, shot, tag } = query as JobChoice;
  return {
    choice: withoutUndefined({ project, scene, shot, tag }),
    statuses: new Set(status ?? jobStatuses),
    wantsPreviews: previews === "true",
  };
}

interface AskedStream extends Chosen, Pick<WatchedScope, "snapshot" | "countOpen"> {
  request: Request;
  response: Response;
  principal: Principal;
  baseUrl: string;
  cursor: ReturnType<typeof cursorOfText>;
  scope: EventScope;
}

async function stream(asked: AskedStream, parts: Parts): Promise<void> {
  const { request, response, principal, cursor, choice, statuses } = asked;
  const { ownJobs, jobDetails, feed, watchTimes, livePreviews } = parts;
  const { scope, baseUrl, wantsPreviews } = asked;
  const wanted = new WantedJobs(ownJobs(principal), choice);
  const sightNow = latestSight(() => jobDetails.sightOf(principal));
  const watched: WatchedScope = {
    scope,
    snapshot: asked.snapshot,
    countOpen: asked.countOpen,
    wanted: (jobIds) => wanted.among(jobIds),
    wantsType: (type) => statuses.has(statusAfter[type]),
    wantsProgress: statuses.has("processing"),
    ...(wantsPreviews && { previews: watchedPreviews(idOf(scope), livePreviews, baseUrl) }),
    viewOfEvent: async (event) => viewOfEvent(event, await sightNow()),
  };
  await openEventStream({ request, response }, parts, {}, (opened) =>
    watchScope(opened, feed, watched, { cursor, times: watchTimes }),
  );
}

function idOf(scope: EventScope): string {
  return "batchId" in scope ? scope.batchId : scope.tenantId;
}
