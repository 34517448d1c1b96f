import { type EstimateError, jobStatuses, type QueueSummary } from "@genga/jobs";
import { createMetricsRegistry } from "@genga/runtime";
import { type ShownFarm } from "../servers/shown-farm.ts";
import { createWebhookMetrics, type WebhookMetrics } from "@genga/webhooks";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** The counters and histograms of the API. */
export interface Metrics {
  registry: Registry;
  requestSeconds: Histogram<"method" | "route" | "status">;
  jobsAccepted: Counter<"type">;
  jobsRefused: Counter<"code">;
  inputsNotChecked: Counter;
  eventStreams: Gauge;
  submissionThreadEnds: Counter;
  refusedByLimit: Counter<"limit">;
  wrongKeys: Counter<"outcome">;
  webhooks: WebhookMetrics;
}

/** Sources that are queried at each scrape. Figures of a source that fails are left out. */
interface Asked {
  /** Counts of all tenants' jobs. */
  summarizeQueue: () => Promise<QueueSummary>;
  /** How far the latest estimates of runs were off. */
  estimateError: () => Promise<EstimateError>;
  /** How many workers are alive, and which of them have no room for outputs. */
  farm: () => Promise<Pick<ShownFarm, "workersAlive" | "fullDisks">>;
  /** Deliveries to webhooks that wait. */
  countDeliveries: () => Promise<number>;
}

export function createMetrics(asked: Asked): Metrics {
  const registry = createMetricsRegistry("api");
  const registers = [registry];
  countAtScrapes(registry, asked);
  return {
    registry,
    webhooks: createWebhookMetrics(registry),
    requestSeconds: new Histogram({
      name: "genga_http_request_seconds",
      help: "Time from a request's head to the end of its answer.",
      labelNames: ["method", "route", "status"],
      buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    }),
    jobsAccepted: new Counter({
      name: "genga_jobs_accepted_total",
      help: "Jobs that were accepted here.",
      labelNames: ["type"],
      registers,
    }),
    jobsRefused: new Counter({
      name: "genga_submissions_refused_total",
      help: "Submissions that were refused here, by code.",
      labelNames: ["code"],
      registers,
    }),
    inputsNotChecked: new Counter({
      name: "genga_inputs_not_checked_total",
      help: "Inputs and nodes of accepted graphs that were left to the server, since its definitions say what Genga does not know.",
      registers,
    }),
    refusedByLimit: new Counter({
      name: "genga_requests_refused_by_limit_total",
      help: "Requests that were refused here because a tenant has what it may have, by limit.",
      labelNames: ["limit"],
      registers,
    }),
    wrongKeys: new Counter({
      name: "genga_wrong_keys_total",
      help: "Requests with a key that is not known (`refused`), or whose key was not checked because too many wrong ones came before (`held-up`).",
      labelNames: ["outcome"],
      registers,
    }),
    submissionThreadEnds: new Counter({
      name: "genga_submission_thread_ends_total",
      help: "How often the thread for large submissions ended without being asked to, for example for want of memory.",
      registers,
    }),
    eventStreams: new Gauge({
      name: "genga_event_streams",
      help: "Event streams that are open here.",
      registers,
    }),
  };
}

function countAtScrapes(registry: Registry, asked: Asked): void {
  const { summarizeQueue, farm, estimateError, countDeliveries } = asked;
  const registers = [registry];
  const error = new Gauge({
    name: "genga_estimate_error",
    help: "The median error of the latest estimates of runs, as a share of the runs; absent before there was one.",
    registers,
    collect: async () => {
      error.reset();
      const { medianError = null } = (await estimateError().catch(() => undefined)) ?? {};
      if (medianError === null) error.remove();
      else error.set(medianError);
    },
  });
  const deliveries = new Gauge({
    name: "genga_webhook_deliveries_pending",
    help: "Deliveries to webhooks that wait for their first or next attempt, of all tenants.",
    registers,
    collect: async () => {
      deliveries.reset();
      const pending = await countDeliveries().catch(() => undefined);
      if (pending !== undefined) deliveries.set(pending);
    },
  });
  const jobs = new Gauge({
    name: "genga_jobs",
    help: "Jobs by status, of all tenants.",
    labelNames: ["status"],
    registers,
    collect: async () => {
      jobs.reset();
      const summary = await summarizeQueue().catch(() => undefined);
      if (summary === undefined) return;
      for (const status of jobStatuses) jobs.set({ status }, summary.counts[status]);
    },
  });
  const workers = new Gauge({
    name: "genga_workers",
    help: "Live workers, by whether they begin jobs: full_disk = the disk for outputs is nearly full.",
    labelNames: ["state"],
    registers,
    collect: async () => {
      workers.reset();
      const now = await farm().catch(() => undefined);
      if (now === undefined) return;
      workers.set({ state: "full_disk" }, now.fullDisks.length);
      workers.set({ state: "working" }, Math.max(0, now.workersAlive - now.fullDisks.length));
    },
  });
}
