import { type BatchDetail, GengaError, type Job, type JobDetail, type JobStatus } from "@genga/client";
import { type CommandContext } from "../command-context.ts";

/** A job or a batch, whichever has the id. @throws GengaError */
export async function thingOf(
  id: string,
  { client, signal }: CommandContext,
): Promise<JobDetail | BatchDetail> {
  try {
    return await client.job(id, { signal });
  } catch (error) {
    if (!(error instanceof GengaError) || error.code !== "job-not-found") throw error;
    return client.batch(id, { signal });
  }
}

export interface JobFilter {
  readonly batch?: string;
  readonly status?: JobStatus[];
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: string;
  readonly text?: string;
  readonly limit?: number;
}

/** All jobs that match, newest first, page by page. */
export async function* jobsOf(filter: JobFilter, { client, signal }: CommandContext): AsyncGenerator<Job> {
  let cursor: string | undefined;
  do {
    const query = { ...filter, limit: 100, ...(cursor !== undefined && { cursor }) };
    const { data } = await client.http.GET("/api/anime/jobs", { params: { query }, signal });
    yield* data?.jobs ?? [];
    cursor = data?.nextCursor ?? undefined;
  } while (cursor !== undefined);
}
