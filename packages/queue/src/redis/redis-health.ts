import { type Redis } from "ioredis";

export interface RedisHealth {
  /** Time that Redis took to answer. */
  latencyMs: number;
  /** Of Valkey or Redis; `null` where it is not told. */
  version: string | null;
  /** Anything but `noeviction` may lose tickets; `null` where it is not told. */
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
