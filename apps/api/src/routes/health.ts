import { type Request, type Response } from "express";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

interface PartHealth {
  status: "ok" | "unavailable";
  latencyMs: number | null;
  detail: string | null;
}

/**
 * A part that does not answer within this time counts as unavailable. Time in which this process itself was too busy to
 * notice the answer does not count.
 */
const answerTimeoutMs = 2_000;
const tickMs = 100;

type Parts = Pick<ApiDependencies, "access" | "probes" | "version" | "startedAt" | "leaving">;

const open = { tag: "service", method: "GET", access: "open", isPolled: true } as const;

export const getHealth = route({
  ...open,
  id: "getHealth",
  path: "health",
  summary: "The state of each part; the status is 200 as long as this process is alive",
  answers: { 200: { description: "Each part's state.", content: json("Health") } },
  handler: async ({ request, response }, dependencies: Parts) => {
    const { version, startedAt } = dependencies;
    const parts = await probeAll({ request, response }, dependencies);
    const isWhole = Object.values(parts).every(({ status }) => status === "ok");
    const status = parts.database.status === "unavailable" ? "unavailable" : isWhole ? "ok" : "degraded";
    const uptimeSeconds = Math.round((Date.now() - startedAt) / 1000);
    return { json: { status, version, uptimeSeconds, parts } };
  },
});

/**
 * Accepting jobs needs only the database, so an API without servers, workers or Redis is ready and keeps getting
 * requests.
 */
const readiness = {
  ...open,
  summary: "Whether this process can accept jobs; the other parts are for information",
  answers: {
    200: { description: "It can accept jobs.", content: json("Readiness") },
    503: {
      description: "It cannot accept jobs: the database is unavailable, or this process starts or stops.",
      content: json("Readiness"),
    },
  },
  handler: async (asked: { request: Request; response: Response }, dependencies: Parts) => {
    const parts = await probeAll(asked, dependencies);
    if (parts.database.status === "ok" && !dependencies.leaving.aborted)
      return { json: { status: "ready", parts } } as const;
    return { status: 503, headers: { "retry-after": "2" }, json: { status: "not-ready", parts } } as const;
  },
} as const;

export const getReadiness = route({ ...readiness, id: "getReadiness", path: "health/ready" });
export const getReadinessAtRoot = route({ ...readiness, id: "getReadinessAtRoot", path: "/health/ready" });

/** Asks nothing of other services: a restart of this process would not bring them back. */
export const getLiveness = route({
  ...open,
  id: "getLiveness",
  path: "/health/live",
  summary: "Whether this process answers, whatever it waits for",
  answers: { 200: { description: "It does.", content: json("Liveness") } },
  handler: () => ({ json: { status: "ok" } as const }),
});

/** Only operators are shown how many servers and workers there are. */
async function probeAll(
  { request, response }: { request: Request; response: Response },
  { access, probes }: Pick<ApiDependencies, "access" | "probes">,
): Promise<Record<keyof typeof probes, PartHealth>> {
  const [database, redis, servers, workers] = await Promise.all([
    ...[probe(probes.database), probe(probes.redis)],
    ...[probe(probes.servers), probe(probes.workers)],
  ] as const);
  if (await access.mayOperate(request, response)) return { database, redis, servers, workers };
  return { database, redis, servers: { ...servers, detail: null }, workers: { ...workers, detail: null } };
}

/** @param ask resolves to a detail worth showing, or to `null`; rejects when the part is unavailable */
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
    // Callers of this open route may not see addresses; the log has the cause.
    return { status: "unavailable", latencyMs: null, detail: error instanceof Error ? error.message : null };
  } finally {
    clearInterval(timer);
  }
}
