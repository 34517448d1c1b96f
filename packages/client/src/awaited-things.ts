import { type BatchDetail, type JobDetail, type JobProgress } from "./api-types.ts";
import { type Message } from "./message-parser.ts";
import { readJson } from "./read-json.ts";
import { type Sending } from "./send-request.ts";
import { type AwaitedThing } from "./wait-for-end.ts";

/** How long the API waits for the end of a job before it answers. */
const apiWaitsMs = 30_000;
/** The reason why a job waits changes without an event of the job. */
const waitingStaleMs = 3_000;
const endings: ReadonlySet<unknown> = new Set(["completed", "failed", "timeout", "cancelled"]);

export function awaitedJob(id: string, sending: Sending): AwaitedThing<JobDetail> {
  const path = `/api/anime/jobs/${encodeURIComponent(id)}`;
  return {
    eventsPath: `${path}/events`,
    read: (signal) => readJson<JobDetail>(path, sending, { signal }),
    readAtEnd: (signal) =>
      readJson<JobDetail>(`${path}?wait=${apiWaitsMs}ms`, sending, { signal, waitMs: apiWaitsMs }),
    hasEnded: ({ status }) => endings.has(status),
    hear: hearOfJob,
    staleAfterMs: ({ status }) => (status === "queued" ? waitingStaleMs : undefined),
  };
}

function hearOfJob(
  { name, data }: Message,
  job: JobDetail | undefined,
): ReturnType<AwaitedThing<JobDetail>["hear"]> {
  const said = JSON.parse(data) as unknown;
  switch (name) {
    case "snapshot":
      return said as JobDetail;
    case "progress": {
      const { attempt, phase, progress } = said as JobProgress;
      return job === undefined ? "read-soon" : { ...job, status: "processing", attempt, phase, progress };
    }
    case "event":
      // Its outputs, or why it failed, are not in the event.
      return endings.has((said as { type: string }).type) ? "read-now" : "read-soon";
    case "removed":
      return "read-now"; // Which is answered with the refusal that says so.
    default:
      return "nothing";
  }
}

export function awaitedBatch(id: string, sending: Sending): AwaitedThing<BatchDetail> {
  const path = `/api/anime/batches/${encodeURIComponent(id)}`;
  return {
    eventsPath: `${path}/events`,
    read: (signal) => readJson<BatchDetail>(path, sending, { signal }),
    readAtEnd: undefined,
    hasEnded: ({ done }) => done,
    hear: ({ name, data }) => {
      if (name === "snapshot") return JSON.parse(data) as BatchDetail;
      if (name === "removed") return "read-now";
      return name === "event" || name === "progress" ? "read-soon" : "nothing";
    },
    staleAfterMs: () => undefined,
  };
}
