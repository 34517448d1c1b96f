import { QueueKeys, RedisConnection, RedisQueueBackend, type BackendFactory } from "bullmq";
import { type Redis } from "ioredis";

/** Consumers give their connection this name, with `:w:` and their own name behind it. */
export function consumerClientName(prefix: string): string {
  return `${prefix}:consumer`;
}

/** Bull Board lists the consumers of a queue by the names of their connections: every consumer serves every lane. */
class SharedBackend extends RedisQueueBackend {
  override clientName(suffix = ""): string {
    return consumerClientName(this.redisPrefix) + suffix;
  }
}

export type SharedBackends = BackendFactory<RedisQueueBackend>;

/**
 * Lets all of BullMQ's queues and workers of a process use one connection. By itself, BullMQ opens one connection for
 * blocking commands for each worker, which Genga never sends. Closing a queue or worker leaves the connection open.
 */
export function sharedBackends(redis: Redis, prefix: string): SharedBackends {
  // The version check would be a first command, and its failure would disable all queues for good.
  const connection = new RedisConnection(redis, { shared: true, blocking: false, skipVersionCheck: true });
  connection.on("error", () => undefined); // The link logs outages.
  const keys = new QueueKeys(prefix);
  return (name, options) =>
    new SharedBackend(
      connection,
      name,
      keys.getKeys(name),
      (type) => keys.toKey(name, type),
      options,
      undefined,
      false,
    );
}
