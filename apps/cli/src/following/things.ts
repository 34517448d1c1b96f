import { type BatchDetail, GengaError, type Job, type JobDetail } from "@genga/client";
import { type CommandContext } from "../command-context.ts";
import { ForeignAnswerError } from "../terminal/exit-codes.ts";

/** A job or a batch, whichever has the id. @throws GengaError */
export async function thingOf(
  id: string,
  { client, signal }: CommandContext,
): Promise<JobDetail | BatchDetail> {
  try {
    return identified(await client.job(id, { signal }));
  } catch (error) {
    if (!(error instanceof GengaError) || error.code !== "job-not-found") throw error;
    try {
      return await client.batch(id, { signal });
    } catch (other) {
      // The message would speak of a batch alone.
      throw other instanceof GengaError && other.code === "batch-not-found" ? error : other;
    }
  }
}

/** What Genga answers about a thing has its id. @throws ForeignAnswerError */
export function identified<Thing extends { readonly id: string }>(answer: Thing | undefined): Thing {
  if (typeof answer?.id !== "string") throw new ForeignAnswerError();
  return answer;
}

/** Asked for at once. */
const togetherMax = 8;

/** In the order of the ids. @throws GengaError */
export async function thingsOf(
  ids: readonly string[],
  context: CommandContext,
): Promise<(JobDetail | BatchDetail)[]> {
  const things: (JobDetail | BatchDetail)[] = [];
  for (let from = 0; from < ids.length; from += togetherMax) {
    const some = ids.slice(from, from + togetherMax).map((id) => thingOf(id, context));
    things.push(...(await Promise.all(some)));
  }
  return things;
}

/** The jobs of a batch, newest first, page by page. */
export async function* jobsOf(batch: string, { client, signal }: CommandContext): AsyncGenerator<Job> {
  let cursor: string | undefined;
  do {
    const query = { batch, limit: 100, ...(cursor !== undefined && { cursor }) };
    const { data } = await client.http.GET("/api/anime/jobs", { params: { query }, signal });
    yield* data?.jobs ?? [];
    cursor = data?.nextCursor ?? undefined;
  } while (cursor !== undefined);
}
