import { createMetricsRegistry, registerDependencyMetrics } from "@genga/runtime";
import { createWebhookMetrics, type WebhookMetrics } from "@genga/webhooks";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { countAtScrapes, type AskedSources } from "./farm-metrics.ts";

/** The counters and histograms of the API. */
export interface Metrics {
  registry: Registry;
  requestSeconds: Histogram<"method" | "route" | "status">;
  jobsAccepted: Counter<"type">;
  jobsRefused: Counter<"code">;
  inputsNotChecked: Counter;
  eventStreams: Gauge;
  /** Open WebSockets of ComfyUI's protocol. */
  doorSockets: Gauge;
  doorRequestsWaiting: Gauge;
  submissionThreadEnds: Counter;
  refusedByLimit: Counter<"limit">;
  wrongKeys: Counter<"outcome">;
  webhooks: WebhookMetrics;
}

interface AskedServices {
  /** The services on which the API depends. */
  services: Parameters<typeof registerDependencyMetrics>[1];
}

export function createMetrics({ services, ...asked }: AskedSources & AskedServices): Metrics {
  const registry = createMetricsRegistry("api");
  const registers = [registry];
  countAtScrapes(registry, asked);
  registerDependencyMetrics(registry, services);
  return {
    registry,
    webhooks: createWebhookMetrics(registry),
    requestSeconds: new Histogram({
      name: "genga_http_request_seconds",
      help: "Time from a request's head to the end of its answer, by the id of the route (unknown = no route was reached).",
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
    doorSockets: new Gauge({
      name: "genga_door_sockets",
      help: "WebSockets of ComfyUI's protocol that are open here.",
      registers,
    }),
    doorRequestsWaiting: new Gauge({
      name: "genga_door_requests_waiting",
      help: "Requests of ComfyUI's protocol that wait here because their tenant has as many at once as it may have.",
      registers,
    }),
  };
}
