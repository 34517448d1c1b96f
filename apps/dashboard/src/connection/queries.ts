import { type JobEvent, type paths } from "@genga/client";
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { dataOf, genga } from "./genga.ts";

/** Whose chain is meant. */
export interface ChainOf {
  readonly kind: "job" | "batch";
  readonly id: string;
}

/** The names under which answers are kept. A view adds what it chose at the end. */
export const keys = {
  jobs: (choice?: object) => (choice === undefined ? (["jobs"] as const) : (["jobs", choice] as const)),
  job: (id: string) => ["job", id] as const,
  batches: (choice?: object) =>
    choice === undefined ? (["batches"] as const) : (["batches", choice] as const),
  batch: (id: string) => ["batches", "one", id] as const,
  chains: (of?: ChainOf) => (of === undefined ? (["chains"] as const) : (["chains", of] as const)),
  queue: () => ["queue"] as const,
  servers: () => ["servers"] as const,
  workers: () => ["workers"] as const,
  health: () => ["health"] as const,
};

/** What no event tells of is asked for so often while it is shown. */
const farmMs = 2_000;
const batchTimeMs = 10_000;
const healthMs = 10_000;
/** The API itself waits for less. */
const healthAnswerMs = 10_000;

export const jobQuery = (id: string) =>
  queryOptions({ queryKey: keys.job(id), queryFn: ({ signal }) => genga.job(id, { signal }) });

export const batchQuery = (id: string) =>
  queryOptions({ queryKey: keys.batch(id), queryFn: ({ signal }) => genga.batch(id, { signal }) });

export const chainQuery = (of: ChainOf) =>
  queryOptions({
    queryKey: keys.chains(of),
    queryFn: ({ signal }) => {
      const asked = { params: { path: { id: of.id } }, signal };
      return dataOf(
        of.kind === "job"
          ? genga.http.GET("/api/anime/jobs/{id}/chain", asked)
          : genga.http.GET("/api/anime/batches/{id}/chain", asked),
      );
    },
    placeholderData: keepPreviousData,
  });

export type ChainJob =
  paths["/api/anime/jobs/{id}/chain"]["get"]["responses"]["200"]["content"]["application/json"]["jobs"][number];

/** Of a batch in a list, which says everything else: not read again with each event. */
export const batchTimeQuery = (id: string) =>
  queryOptions({
    queryKey: ["batch-time", id],
    queryFn: ({ signal }) => genga.batch(id, { signal }),
    refetchInterval: batchTimeMs,
    staleTime: batchTimeMs,
  });

export const queueQuery = queryOptions({
  queryKey: keys.queue(),
  queryFn: ({ signal }) => dataOf(genga.http.GET("/api/anime/queue", { signal })),
  refetchInterval: farmMs,
  placeholderData: keepPreviousData,
});

export const serversQuery = queryOptions({
  queryKey: keys.servers(),
  queryFn: ({ signal }) => dataOf(genga.http.GET("/api/anime/servers", { signal })),
  refetchInterval: farmMs,
  placeholderData: keepPreviousData,
});

export const statisticsQuery = (hours: number) =>
  queryOptions({
    queryKey: ["statistics", hours],
    queryFn: ({ signal }) =>
      dataOf(genga.http.GET("/api/anime/statistics", { params: { query: { hours } }, signal })),
    refetchInterval: 10_000,
    placeholderData: keepPreviousData,
  });

export const workersQuery = queryOptions({
  queryKey: keys.workers(),
  queryFn: ({ signal }) => dataOf(genga.http.GET("/api/anime/workers", { signal })),
  refetchInterval: farmMs,
});

/** The tenant's jobs that run now; there are hardly more than servers. */
export const runningQuery = queryOptions({
  queryKey: keys.jobs({ status: ["processing"], limit: 200 }),
  queryFn: ({ signal }) => {
    const query = { status: ["processing" as const], limit: 200 };
    return dataOf(genga.http.GET("/api/anime/jobs", { params: { query }, signal }));
  },
});

export const healthQuery = queryOptions({
  queryKey: keys.health(),
  queryFn: ({ signal }) => {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(healthAnswerMs)]);
    return dataOf(genga.http.GET("/api/anime/health", { signal: limited }));
  },
  // The end of an outage is looked for more often.
  refetchInterval: ({ state: { data, error } }) =>
    error === null && data?.parts.database.status === "ok" ? healthMs : farmMs,
});

/** What has happened to a job; read again with each of its events. */
export const historyQuery = (id: string) =>
  queryOptions({
    queryKey: [...keys.job(id), "history"],
    queryFn: async ({ signal }) => {
      const events: JobEvent[] = [];
      for (let after: number | null = 0; after !== null && events.length < historyMax;) {
        const init = { params: { path: { id }, query: { after, limit: 500 } }, signal } as const;
        const page: { events: JobEvent[]; nextAfter: number | null } = await dataOf(
          genga.http.GET("/api/anime/jobs/{id}/history", init),
        );
        events.push(...page.events);
        after = page.nextAfter;
      }
      return events;
    },
  });

/** More than a person reads. */
const historyMax = 2_000;

export const attemptsQuery = (id: string) =>
  queryOptions({
    queryKey: [...keys.job(id), "attempts"],
    queryFn: async ({ signal }) =>
      (await dataOf(genga.http.GET("/api/anime/jobs/{id}/attempts", { params: { path: { id } }, signal })))
        .attempts,
  });

/** Never change after the job was accepted. */
export const parametersQuery = (id: string) =>
  queryOptions({
    queryKey: ["job-parameters", id],
    queryFn: ({ signal }) =>
      dataOf(genga.http.GET("/api/anime/jobs/{id}/parameters", { params: { path: { id } }, signal })),
    staleTime: Infinity,
  });

export const workflowQuery = (id: string) =>
  queryOptions({
    queryKey: ["job-workflow", id],
    queryFn: ({ signal }) =>
      dataOf(genga.http.GET("/api/anime/jobs/{id}/workflow", { params: { path: { id } }, signal })),
    staleTime: Infinity,
  });
