import { type EventFeed, type Json } from "@genga/jobs";
import { type Request, type Response } from "express";
import { credentialOf } from "../access/credentials.ts";
import { type KeyWatch } from "../access/key-watch.ts";
import { type TenantAdmission } from "../access/tenant-admission.ts";
import { EventStream } from "../http/event-stream.ts";
import { type Metrics } from "../http/metrics.ts";
import { RefusedError } from "../http/problem-document.ts";

/** Streams that one process keeps open. */
const streamsMax = 1_000;

export interface StreamParts {
  admission: TenantAdmission;
  feed: Pick<EventFeed, "size">;
  keyWatch: KeyWatch;
  metrics: Pick<Metrics, "eventStreams">;
  /** Ends all streams when it is aborted. */
  stopping: AbortSignal;
}

/**
 * Opens an event stream within the limits of the process and the tenant, and closes it when the key or the session does not work any more.
 * The answer to HEAD has the same headers and nothing else.
 * @param of said in `closed`, the last message under a key or session that has ended
 * @param tell writes the stream; it has ended when this resolves
 * @throws RefusedError `too-many-streams`, or the tenant's limit
 */
export async function openEventStream(
  { request, response }: { request: Request; response: Response },
  { admission, feed, keyWatch, metrics, stopping }: StreamParts,
  of: Record<string, Json>,
  tell: (stream: EventStream) => Promise<void>,
): Promise<void> {
  if (feed.size >= streamsMax) {
    throw new RefusedError("too-many-streams", `This process has ${streamsMax} event streams open.`, {
      headers: { "retry-after": "10" },
    });
  }
  const isHead = request.method === "HEAD";
  if (!isHead) await admission.openStream(response);
  const stream = new EventStream(response, stopping);
  if (isHead) {
    stream.end();
    return;
  }
  metrics.eventStreams.inc();
  const unwatchKey = keyWatch.watch(credentialOf(response), () => {
    stream.endWith("closed", { ...of, reason: "key-not-valid" });
  });
  try {
    await tell(stream);
  } finally {
    unwatchKey();
    metrics.eventStreams.dec();
  }
}
