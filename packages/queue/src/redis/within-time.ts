import { TicketsUnavailableError } from "@genga/jobs";
import { type Redis } from "ioredis";
import { type RedisLink } from "./redis-link.ts";

/** Requests wait for the answer, so a Redis that takes longer than this counts as away. */
const answerMs = 250;
/** After a late answer, Redis is not asked again for this long, so that not every request waits for it. */
const restMs = 1_000;
const restsUntil = new WeakMap<RedisLink, number>();

/** `null` when Redis is away, or does not answer in time; the command may still take effect then. */
export async function withinTime<Answer>(
  link: RedisLink,
  operation: (redis: Redis) => Promise<Answer>,
): Promise<Answer | null> {
  if (!link.isReady() || (restsUntil.get(link) ?? 0) > performance.now()) return null;
  const answered = link.run(operation).catch((error: unknown) => {
    if (error instanceof TicketsUnavailableError) return null;
    throw error;
  });
  // p-timeout would make an error with a stack trace for each call, and requests call this three times.
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => {
      restsUntil.set(link, performance.now() + restMs);
      resolve(null);
    }, answerMs);
  });
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
