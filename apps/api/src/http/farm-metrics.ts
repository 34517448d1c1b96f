import { type EstimateError, jobStatuses, type QueueSummary } from "@genga/jobs";
import { Gauge, type Registry } from "prom-client";
import { type ShownFarm } from "../servers/shown-farm.ts";

/** Sources that are queried at each scrape. Figures of a source that fails are left out. */
export interface AskedSources {
  /** Counts of all tenants' jobs. */
  summarizeQueue: () => Promise<QueueSummary>;
  /** How far the latest estimates of runs were off. */
  estimateError: () => Promise<EstimateError>;
  /** The present servers and workers. */
  farm: () => Promise<Pick<ShownFarm, "workersAlive" | "storageHolds" | "servers" | "pause" | "abandoned">>;
  /** Deliveries to webhooks that wait. */
  countDeliveries: () => Promise<number>;
}

/** Lanes are made from what tenants submit. Only those with the most jobs have series of their own. */
const lanesMax = 20;
const otherLanes = "other";

/** Figures of the whole farm: each API process tells the same ones. */
export function countAtScrapes(registry: Registry, sources: AskedSources): void {
  const { estimateError, countDeliveries } = sources;
  const registers = [registry];
  countJobs(registers, sources);
  countFarm(registers, sources);
  const error = new Gauge({
    name: "genga_estimate_error",
    help: "The median error of the latest estimates of runs, as a share of the runs; absent before there was one.",
    registers,
    collect: async () => {
      const { medianError = null } = (await estimateError().catch(() => undefined)) ?? {};
      error.remove();
      if (medianError !== null) error.set(medianError);
    },
  });
  const deliveries = new Gauge({
    name: "genga_webhook_deliveries_pending",
    help: "Deliveries to webhooks that wait for their first or next attempt, of all tenants.",
    registers,
    collect: async () => {
      const pending = await countDeliveries().catch(() => undefined);
      deliveries.remove();
      if (pending !== undefined) deliveries.set(pending);
    },
  });
}

function countJobs(registers: Registry[], { summarizeQueue }: AskedSources): void {
  const queue = shared(summarizeQueue);
  const jobs = new Gauge({
    name: "genga_jobs",
    help: "Jobs by status, of all tenants.",
    labelNames: ["status"],
    registers,
    collect: async () => {
      const summary = await queue();
      jobs.reset();
      if (summary === undefined) return;
      for (const status of jobStatuses) jobs.set({ status }, summary.counts[status]);
    },
  });
  const lanes = new Gauge({
    name: "genga_lane_jobs",
    help: `Queued and processing jobs of the ${lanesMax} lanes that have the most, and of all others together (${otherLanes}).`,
    labelNames: ["lane", "status"],
    registers,
    collect: async () => {
      const summary = await queue();
      lanes.reset();
      for (const { lane, queued, processing } of fullestLanes(summary?.lanes ?? [])) {
        lanes.set({ lane, status: "queued" }, queued);
        lanes.set({ lane, status: "processing" }, processing);
      }
    },
  });
  const oldest = new Gauge({
    name: "genga_oldest_queued_job_age_seconds",
    help: "How long ago the queued job that has waited longest was accepted, whatever it waits for; 0 = none is queued.",
    registers,
    collect: async () => {
      const summary = await queue();
      oldest.remove();
      if (summary === undefined) return;
      const since = summary.oldestQueuedAt?.getTime() ?? Date.now();
      oldest.set(Math.max(Date.now() - since, 0) / 1_000);
    },
  });
}

/** The lanes with the most jobs; the jobs of the others are added up. Exported for its test. */
export function fullestLanes(lanes: QueueSummary["lanes"]): QueueSummary["lanes"] {
  const sorted = lanes.toSorted(
    (one, other) => other.queued + other.processing - (one.queued + one.processing),
  );
  const rest = sorted.slice(lanesMax);
  if (rest.length === 0) return sorted;
  const sum = (field: "queued" | "processing"): number =>
    rest.reduce((total, lane) => total + lane[field], 0);
  return [
    ...sorted.slice(0, lanesMax),
    { lane: otherLanes, queued: sum("queued"), processing: sum("processing") },
  ];
}

function countFarm(registers: Registry[], sources: AskedSources): void {
  const farm = shared(sources.farm);
  const workers = new Gauge({
    name: "genga_workers",
    help: "Live workers, by whether they begin jobs: full_disk = the disk for outputs is nearly full, storage_unavailable = it cannot be written to.",
    labelNames: ["state"],
    registers,
    collect: async () => {
      const now = await farm();
      workers.reset();
      if (now === undefined) return;
      const away = now.storageHolds.filter(({ fault }) => fault !== null).length;
      workers.set({ state: "full_disk" }, now.storageHolds.length - away);
      workers.set({ state: "storage_unavailable" }, away);
      workers.set({ state: "working" }, Math.max(0, now.workersAlive - now.storageHolds.length));
    },
  });
  const states = new Gauge({
    name: "genga_server_state",
    help: "1 for the present state of each server, which is the same as in GET /servers; server = its id.",
    labelNames: ["server", "url", "state"],
    registers,
    collect: async () => {
      const now = await farm();
      states.reset();
      for (const { id, url, state } of now?.servers ?? []) states.set({ server: id, url, state }, 1);
    },
  });
  const draining = new Gauge({
    name: "genga_server_draining",
    help: "1 while an operator has drained the server.",
    labelNames: ["server", "url"],
    registers,
    collect: async () => {
      const now = await farm();
      draining.reset();
      for (const server of now?.servers ?? [])
        draining.set({ server: server.id, url: server.url }, Number(server.draining));
    },
  });
  const abandoned = new Gauge({
    name: "genga_server_abandoned",
    help: "1 while no worker owns the server, although a live one names it or the last one that named it died.",
    labelNames: ["server", "url"],
    registers,
    collect: async () => {
      const now = await farm();
      abandoned.reset();
      for (const { id, url } of now?.servers ?? [])
        abandoned.set({ server: id, url }, Number(now?.abandoned.has(id)));
    },
  });
  const paused = new Gauge({
    name: "genga_farm_paused",
    help: "1 while an operator has paused the farm.",
    registers,
    collect: async () => {
      const now = await farm();
      paused.remove();
      if (now !== undefined) paused.set(Number(now.pause !== null));
    },
  });
}

/** The metrics of one scrape are collected at the same time, and ask the source only once. */
function shared<Value>(ask: () => Promise<Value>): () => Promise<Value | undefined> {
  let asking: Promise<Value | undefined> | undefined;
  return () =>
    (asking ??= ask()
      .catch(() => undefined)
      .finally(() => {
        asking = undefined;
      }));
}
