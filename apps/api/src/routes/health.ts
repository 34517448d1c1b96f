import { type Request } from "express";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";

interface PartHealth {
  status: "ok" | "unavailable";
  latencyMs: number | null;
  detail: string | null;
}

/** A part that has not answered by then counts as unavailable; time in which this process was busy does not count. */
const answerTimeoutMs = 2_000;
const tickMs = 100;

/**
 * `GET health`: 200 as long as this process lives, with each part's state. `GET health/ready`: whether it can accept
 * jobs. Accepting needs the database alone: an API without servers, workers or Redis still gets its share of requests.
 */
export function addHealthRoutes(routes: GuardedRoutes, dependencies: ApiDependencies): void {
  const { access, probes, version, startedAt } = dependencies;
  const probeAll = async (request: Request): Promise<Record<keyof typeof probes, PartHealth>> => {
    const [database, redis, servers, workers] = await Promise.all([
      ...[probe(probes.database), probe(probes.redis)],
      ...[probe(probes.servers), probe(probes.workers)],
    ] as const);
    // How many servers and workers there are is the operator's to know.
    if (await access.mayOperate(request)) return { database, redis, servers, workers };
    return { database, redis, servers: { ...servers, detail: null }, workers: { ...workers, detail: null } };
  };
  routes.resource("health", {
    get: async (request, response) => {
      const parts = await probeAll(request);
      const isWhole = Object.values(parts).every(({ status }) => status === "ok");
      response.set("cache-control", "no-store").json({
        status: parts.database.status === "unavailable" ? "unavailable" : isWhole ? "ok" : "degraded",
        version,
        uptimeSeconds: Math.round((Date.now() - startedAt) / 1000),
        parts,
      });
    },
  });
  routes.resource("health/ready", {
    get: async (request, response) => {
      const parts = await probeAll(request);
      const isReady = parts.database.status === "ok";
      response.status(isReady ? 200 : 503).set("cache-control", "no-store");
      if (!isReady) response.set("retry-after", "2");
      response.json({ status: isReady ? "ready" : "not-ready", parts });
    },
  });
}

/** @param ask resolves to something worth knowing, or `null`; rejects = unavailable */
async function probe(ask: () => Promise<string | null>): Promise<PartHealth> {
  const startedAt = performance.now();
  let ticksLeft = answerTimeoutMs / tickMs;
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setInterval(() => {
      ticksLeft -= 1;
      if (ticksLeft <= 0) reject(new Error(`no answer within ${answerTimeoutMs} ms`));
    }, tickMs);
  });
  try {
    const detail = await Promise.race([ask(), tooLate]);
    return { status: "ok", latencyMs: Math.round(performance.now() - startedAt), detail };
  } catch (error) {
    // Whoever may ask for health need not know addresses; the log has the cause.
    return { status: "unavailable", latencyMs: null, detail: error instanceof Error ? error.message : null };
  } finally {
    clearInterval(timer);
  }
}
