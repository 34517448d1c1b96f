import { jobPriorities, type JobPriority } from "@genga/jobs";
import { type SimulationOptions } from "./simulation-options.ts";

/** A lane of the simulated farm: a model, and what its jobs require of servers. */
export interface SimulatedLane {
  name: string;
  model: string;
  /** Servers of this kind and all later ones are eligible for it. */
  lowestKind: number;
}

/** The same work for every scheduler. Jobs are in the order of their arrival; all times are in milliseconds. */
export interface Workload {
  lanes: readonly SimulatedLane[];
  /** The kind of each server. */
  kindOfServer: Uint8Array;
  loadMs: number;
  /** The weight of each tenant. */
  weights: readonly number[];
  arrivalMs: Float64Array;
  laneOfJob: Uint16Array;
  tenantOfJob: Uint16Array;
  /** Index of the job's priority. */
  bandOfJob: Uint8Array;
  runMs: Float64Array;
  jobs: number;
  servers: number;
}

/** Random numbers between 0 and 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Work in random order. Runs vary by `spread` around the mean of their lane, and the means by as much around `runMs`;
 * `tenantRuns` makes those of some tenants longer or shorter.
 * The first tenant floods: it sends `flood` of the jobs at once, at the beginning; the others arrive evenly.
 */
export function makeWorkload(options: SimulationOptions): Workload {
  const { servers, jobs, models, lanesPerModel, tenants, kinds, spread } = options;
  const random = randomFrom(options.seed);
  const lanes = Array.from({ length: models * lanesPerModel }, (_, index): SimulatedLane => {
    const model = `model-${index % models}`;
    const lane = Math.floor(index / models);
    return { name: lane === 0 ? model : `${model}-${lane}`, model, lowestKind: index % kinds };
  });
  const around = (mean: number) => mean * (1 + spread * (2 * random() - 1));
  const laneRunMs = lanes.map(() => around(options.runMs));
  const workload: Workload = {
    lanes,
    kindOfServer: Uint8Array.from({ length: servers }, (_, server) => server % kinds),
    loadMs: options.loadMs,
    weights: Array.from({ length: tenants }, (_, tenant) => options.weights[tenant] ?? 1),
    arrivalMs: new Float64Array(jobs),
    laneOfJob: new Uint16Array(jobs),
    tenantOfJob: new Uint16Array(jobs),
    bandOfJob: new Uint8Array(jobs),
    runMs: new Float64Array(jobs),
    jobs,
    servers,
  };
  const laneOrder = shuffled(jobs, lanes.length, random);
  for (let job = 0; job < jobs; job += 1) {
    const isFlood = job < options.flood;
    const tenant = isFlood || tenants === 1 ? 0 : otherTenant(options, random);
    const lane = laneOf(tenant, laneOrder[job] ?? 0, lanes.length, options);
    workload.laneOfJob[job] = lane;
    workload.tenantOfJob[job] = tenant;
    workload.bandOfJob[job] = bandOf(options.bands, isFlood ? 1 : random());
    workload.runMs[job] = around(laneRunMs[lane] ?? options.runMs) * (options.tenantRuns[tenant] ?? 1);
    const place = (job - options.flood + 1) / (jobs - options.flood);
    workload.arrivalMs[job] = isFlood ? 0 : place * options.arriveMs;
  }
  return workload;
}

/** @param lane one of all lanes */
function laneOf(tenant: number, lane: number, lanes: number, { lanesPerTenant }: SimulationOptions): number {
  return tenant === 0 || lanesPerTenant === 0 ? lane : (tenant - 1 + (lane % lanesPerTenant)) % lanes;
}

function otherTenant({ flood, tenants }: SimulationOptions, random: () => number): number {
  return flood === 0 ? Math.floor(random() * tenants) : 1 + Math.floor(random() * (tenants - 1));
}

/** @param share between 0 and 1; 1 stands for `normal` */
function bandOf(shares: Record<JobPriority, number>, share: number): number {
  if (share === 1) return jobPriorities.indexOf("normal");
  const total = jobPriorities.reduce((sum, priority) => sum + shares[priority], 0);
  let left = share * total;
  const found = jobPriorities.findIndex((priority) => (left -= shares[priority]) < 0);
  return found === -1 ? jobPriorities.indexOf("normal") : found;
}

/** `count` numbers, each of the first `kinds` numbers equally often, in random order. */
function shuffled(count: number, kinds: number, random: () => number): Uint16Array {
  const order = Uint16Array.from({ length: count }, (_, index) => index % kinds);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] ?? 0, order[last] ?? 0];
  }
  return order;
}

/**
 * No schedule can be shorter: the work of any time to come, and one load of each of its models, shared by the servers
 * that may serve it; and never less than one load and the longest run.
 */
export function lowerBoundMs(workload: Workload): number {
  const { lanes, kindOfServer, arrivalMs, laneOfJob, runMs, loadMs, jobs } = workload;
  const kinds = Math.max(...kindOfServer) + 1;
  let bound = 0;
  for (let kind = 0; kind < kinds; kind += 1) {
    const eligible = kindOfServer.reduce((count, own) => count + (own >= kind ? 1 : 0), 0);
    const models = new Set<string>();
    let workMs = 0;
    for (let job = jobs - 1; job >= 0; job -= 1) {
      const lane = lanes[laneOfJob[job] ?? 0];
      if (lane === undefined || lane.lowestKind < kind) continue;
      models.add(lane.model);
      workMs += runMs[job] ?? 0;
      bound = Math.max(
        bound,
        (arrivalMs[job] ?? 0) + (workMs + (arrivalMs[job] === 0 ? models.size * loadMs : 0)) / eligible,
      );
    }
  }
  return Math.max(bound, loadMs + runMs.reduce((longest, own) => Math.max(longest, own), 0));
}
