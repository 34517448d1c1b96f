import { setTimeout as delay } from "node:timers/promises";
import { startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { startEmbeddedRedis } from "./redis/embedded-redis.ts";
import { type EmbeddedServer, type EmbeddedServerOptions } from "./process/embedded-server.ts";
import { lockFolder } from "./process/folder-lock.ts";

export interface EmbeddedServicesOptions {
  readonly dataDir: string;
  /** If given, this Postgres is used and none is started. */
  readonly databaseUrl?: string | undefined;
  /** If given, this Redis is used and none is started. */
  readonly redisUrl?: string | undefined;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface EmbeddedServices {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Stops the servers that were started here: Redis, then Postgres. */
  stop(): Promise<void>;
}

/**
 * Provides a Postgres and a Redis on one machine: the given ones, or servers that are started here. A server that dies
 * is started again on the same port, with its data.
 *
 * @throws EmbeddedServiceError, also when another live process holds the data folder
 */
export async function startEmbeddedServices(options: EmbeddedServicesOptions): Promise<EmbeddedServices> {
  const { databaseUrl, redisUrl } = options;
  if (databaseUrl !== undefined && redisUrl !== undefined) {
    return { databaseUrl, redisUrl, stop: () => Promise.resolve() };
  }
  const lock = lockFolder(options.dataDir);
  const [postgres, redis] = await Promise.allSettled([
    databaseUrl === undefined ? keepRunning(startEmbeddedPostgres, options) : undefined,
    redisUrl === undefined ? keepRunning(startEmbeddedRedis, options) : undefined,
  ]);
  const stop = async (): Promise<void> => {
    if (redis.status === "fulfilled") await redis.value?.stop();
    if (postgres.status === "fulfilled") await postgres.value?.stop();
    lock.release();
  };
  if (postgres.status === "rejected" || redis.status === "rejected") {
    await stop();
    const reasons = [postgres, redis].flatMap((result) =>
      result.status === "rejected" ? [result.reason as unknown] : [],
    );
    throw reasons.length === 1 ? reasons[0] : new AggregateError(reasons, reasons.map(String).join("\n"));
  }
  return {
    databaseUrl: databaseUrl ?? urlOf(postgres.value),
    redisUrl: redisUrl ?? urlOf(redis.value),
    stop,
  };
}

interface KeptServer {
  readonly url: string;
  stop(): Promise<void>;
}

const restartDelayMs = { first: 200, longest: 5_000 };

async function keepRunning(
  start: (options: EmbeddedServerOptions) => Promise<EmbeddedServer>,
  options: EmbeddedServicesOptions,
): Promise<KeptServer> {
  const { dataDir, report } = options;
  const stopping = new AbortController();
  let server = await start({ dataDir, report, signal: options.signal });
  const { url, port, name } = server;

  const watch = async (): Promise<void> => {
    for (;;) {
      const reason = await server.ended;
      if (stopping.signal.aborted) return;
      report(`${name} ended unexpectedly (${reason}); starting it again`);
      server = await restart();
    }
  };
  const restart = async (): Promise<EmbeddedServer> => {
    for (let waitMs = restartDelayMs.first; ; waitMs = Math.min(waitMs * 2, restartDelayMs.longest)) {
      await delay(waitMs, undefined, { signal: stopping.signal });
      try {
        return await start({ dataDir, report, port, signal: stopping.signal });
      } catch (error) {
        stopping.signal.throwIfAborted();
        report(
          `${name} could not be started again: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  };
  const watching = watch().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  return {
    url,
    stop: async () => {
      stopping.abort();
      await server.stop();
      await watching;
    },
  };
}

function urlOf(server: KeptServer | undefined): string {
  if (server === undefined) throw new Error("a server that was neither given nor started has no URL");
  return server.url;
}
