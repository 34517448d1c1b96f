import { TicketsUnavailableError } from "@genga/jobs";
import { type Redis } from "ioredis";
import pTimeout from "p-timeout";
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
  const fallback = (): null => {
    restsUntil.set(link, performance.now() + restMs);
    return null;
  };
  return await pTimeout(answered, { milliseconds: answerMs, fallback });
}
