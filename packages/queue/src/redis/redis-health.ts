import { type QueueLogger } from "./redis-link.ts";
import { type Redis } from "ioredis";

export interface RedisHealth {
  /** Time that Redis took to answer. */
  latencyMs: number;
  /** The version of Valkey or Redis; `null` if the server does not tell it. */
  version: string | null;
  /** With any policy but `noeviction` tickets may be lost; `null` if the server does not tell it. */
  evictionPolicy: string | null;
}

export async function readRedisHealth(redis: Redis): Promise<RedisHealth> {
  const startedAt = performance.now();
  const information = await redis.info();
  const latencyMs = performance.now() - startedAt;
  const field = (name: string): string | null =>
    new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(information)?.[1] ?? null;
  return {
    latencyMs,
    version: field("valkey_version") ?? field("redis_version"),
    evictionPolicy: field("maxmemory_policy"),
  };
}

/** Whether Redis may lose tickets when its memory is full; then it is said once. */
export function warnOfEviction(health: RedisHealth | null, logger: QueueLogger): boolean {
  const evictionPolicy = health?.evictionPolicy ?? "noeviction";
  if (evictionPolicy === "noeviction") return false;
  const message = "Redis may evict tickets when its memory is full: set maxmemory-policy to noeviction.";
  logger.warn({ evictionPolicy }, message);
  return true;
}
