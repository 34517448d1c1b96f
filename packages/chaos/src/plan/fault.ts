import { type Random } from "./random.ts";

/** Points in a job's life at which a fault may happen, recognised by the bytes that pass a network. */
export const jobPoints = [
  /** The API has sent the statement that stores a job, and the answer to it is on the way. */
  "accept-committed",
  /** A worker's claim is stored, and the answer to it is on the way. */
  "claim-committed",
  /** `POST /prompt` is on its way to the server. */
  "before-post",
  /** The server has the prompt, and its reply is on the way. */
  "after-post",
  "executing",
  /** The message that the prompt succeeded is on its way. */
  "completion",
  /** A worker's request for an output is on its way. */
  "saving",
  /** The bytes of the output are on their way. */
  "downloading",
  /** The statement that ends an attempt is on its way. */
  "before-commit",
  /** The end of an attempt is stored, and the answer to the statement is on the way. */
  "committed",
  /** The worker knows that the end is stored, and its command to finish the ticket is on the way. */
  "ticket-ack",
] as const;
export type JobPoint = (typeof jobPoints)[number];

/**
 * The action at the point. `kill`: SIGKILL to the process that the traffic belongs to. `pause`: SIGSTOP for `ms`,
 * longer or shorter than a lease. `reset`: the connection breaks. `hold`: these bytes and all later ones arrive `ms`
 * later.
 */
export const pointActions = ["kill", "pause", "reset", "hold"] as const;
type PointAction = (typeof pointActions)[number];

/** The networks between a process and the stores. */
export type Link = "postgres" | "redis";

/**
 * A fault. Its target is given by number (modulo the number of targets). It lasts for `ms` and is then healed: a killed
 * process is started again, a broken network is repaired.
 */
export type Fault = { ms: number } & (
  | { kind: "worker-kill"; worker: number }
  | { kind: "worker-pause"; worker: number }
  /** SIGTERM; its replacement is started before or afterwards. */
  | { kind: "worker-redeploy"; worker: number; isOverlapping: boolean }
  /** All workers are replaced, one after the other. */
  | { kind: "rolling-restart" }
  | { kind: "api-kill"; api: number }
  | { kind: "api-pause"; api: number }
  | { kind: "api-redeploy"; api: number }
  | { kind: "simulator-kill"; simulator: number }
  | { kind: "simulator-pause"; simulator: number }
  | { kind: "simulator-freeze"; simulator: number }
  | { kind: "simulator-crash"; simulator: number }
  | { kind: "simulator-amnesia"; simulator: number }
  | { kind: "simulator-restart"; simulator: number }
  /** Healed by a restart, because nothing else helps a server whose executor thread is dead. */
  | { kind: "simulator-wedge"; simulator: number }
  | { kind: "simulator-out-of-memory"; simulator: number }
  | { kind: "simulator-output-lost"; simulator: number; how: (typeof lostOutputs)[number] }
  | { kind: "simulator-drop-sockets"; simulator: number }
  | { kind: "simulator-half-open-sockets"; simulator: number }
  | {
      kind: "simulator-lost-reply";
      simulator: number;
      how: "lose-next-prompt-reply" | "error-after-queueing";
    }
  | { kind: "simulator-slow-replies"; simulator: number; path: (typeof slowPaths)[number] }
  | { kind: "simulator-cut"; simulator: number }
  | { kind: "simulator-half-open"; simulator: number }
  | { kind: "simulator-delay"; simulator: number; byMs: number }
  /** Postgres ends at once, without a checkpoint, and recovers. */
  | { kind: "postgres-crash"; how: "SIGKILL" | "SIGQUIT" }
  | { kind: "postgres-cut" }
  | { kind: "postgres-half-open" }
  | { kind: "postgres-delay"; byMs: number }
  /** Another session holds a lock: statements on jobs wait, and soon every connection of every pool with them. */
  | { kind: "postgres-locked" }
  /** Postgres accepts no more connections, and has ended the existing ones. */
  | { kind: "postgres-full" }
  | { kind: "redis-kill" }
  | { kind: "redis-flush" }
  | { kind: "redis-cut" }
  | { kind: "redis-half-open" }
  /** The memory of Redis is used up: it answers, but accepts no writes. */
  | { kind: "redis-full" }
  | { kind: "redis-delay"; byMs: number }
  /** One process is cut off from one store, while the other processes are not. */
  | { kind: "worker-cut-off"; worker: number; link: Link; isHalfOpen: boolean }
  | { kind: "api-cut-off"; api: number; link: Link; isHalfOpen: boolean }
  | { kind: "at-point"; point: JobPoint; action: PointAction }
);
/** A fault that begins at its time in the plan, without waiting for a point in a job's life. */
export type PlainFault = Exclude<Fault, { kind: "at-point" }>;
type FaultKind = Fault["kind"];

/** The weight of each kind when faults are drawn. */
const weights: Readonly<Record<FaultKind, number>> = {
  "worker-kill": 4,
  "worker-pause": 4,
  "worker-redeploy": 3,
  "rolling-restart": 1,
  "api-kill": 2,
  "api-pause": 1,
  "api-redeploy": 1,
  "simulator-kill": 2,
  "simulator-pause": 2,
  "simulator-freeze": 2,
  "simulator-crash": 1,
  "simulator-amnesia": 2,
  "simulator-restart": 1,
  "simulator-wedge": 1,
  "simulator-out-of-memory": 1,
  "simulator-output-lost": 1,
  "simulator-drop-sockets": 2,
  "simulator-half-open-sockets": 2,
  "simulator-lost-reply": 2,
  "simulator-slow-replies": 2,
  "simulator-cut": 3,
  "simulator-half-open": 3,
  "simulator-delay": 1,
  "postgres-crash": 3,
  "postgres-cut": 3,
  "postgres-half-open": 2,
  "postgres-delay": 1,
  "postgres-locked": 2,
  "postgres-full": 2,
  "redis-kill": 2,
  "redis-flush": 3,
  "redis-cut": 2,
  "redis-half-open": 2,
  "redis-full": 2,
  "redis-delay": 1,
  "worker-cut-off": 5,
  "api-cut-off": 2,
  "at-point": 24,
};

const lostOutputs = ["missing-output", "empty-output"] as const;
const lostReplies = ["lose-next-prompt-reply", "error-after-queueing"] as const;
const slowPaths = ["/prompt", "/queue", "/history", "/view"] as const;

export function drawFault(random: Random): Fault {
  const kind = random.pickWeighted(weights);
  const worker = random.between(0, 5);
  const api = random.between(0, 5);
  const simulator = random.between(0, 5);
  // Durations around the suite's lease (1.5 s) and the servers' grace (3 s): shorter than both, between them, and
  // longer.
  const ms = random.pick([
    random.between(100, 900),
    random.between(900, 2_500),
    random.between(2_500, 5_000),
  ]);
  const byMs = random.between(20, 300);
  const link = random.pick(["postgres", "redis"] as const);
  switch (kind) {
    case "worker-kill":
    case "worker-pause":
      return { kind, ms, worker };
    case "worker-redeploy":
      return { kind, ms, worker, isOverlapping: random.chance(0.5) };
    case "worker-cut-off":
      return { kind, ms, worker, link, isHalfOpen: random.chance(0.5) };
    case "api-kill":
    case "api-pause":
    case "api-redeploy":
      return { kind, ms, api };
    case "api-cut-off":
      return { kind, ms, api, link, isHalfOpen: random.chance(0.5) };
    case "simulator-output-lost":
      return { kind, ms, simulator, how: random.pick(lostOutputs) };
    case "simulator-lost-reply":
      return { kind, ms, simulator, how: random.pick(lostReplies) };
    case "simulator-slow-replies":
      return { kind, ms, simulator, path: random.pick(slowPaths) };
    case "simulator-delay":
      return { kind, ms, simulator, byMs };
    case "postgres-delay":
    case "redis-delay":
      return { kind, ms, byMs };
    case "postgres-crash":
      return { kind, ms, how: random.pick(["SIGKILL", "SIGQUIT"] as const) };
    case "at-point":
      return { kind, ms, point: random.pick(jobPoints), action: random.pick(pointActions) };
    case "rolling-restart":
    case "postgres-cut":
    case "postgres-half-open":
    case "postgres-locked":
    case "postgres-full":
    case "redis-kill":
    case "redis-flush":
    case "redis-cut":
    case "redis-half-open":
    case "redis-full":
      return { kind, ms };
    case "simulator-kill":
    case "simulator-pause":
    case "simulator-freeze":
    case "simulator-crash":
    case "simulator-amnesia":
    case "simulator-restart":
    case "simulator-wedge":
    case "simulator-out-of-memory":
    case "simulator-drop-sockets":
    case "simulator-half-open-sockets":
    case "simulator-cut":
    case "simulator-half-open":
      return { kind, ms, simulator };
  }
}

/** @param name as `nameOfFault` returns it @throws RangeError when there is no such fault */
export function drawFaultNamed(random: Random, name: string): Fault {
  for (let tries = 0; tries < 20_000; tries += 1) {
    const fault = drawFault(random);
    if (nameOfFault(fault) === name) return fault;
  }
  throw new RangeError(`There is no fault "${name}".`);
}

/** The name of a fault in figures and messages. */
export function nameOfFault(fault: Fault): string {
  return fault.kind === "at-point" ? `${fault.action} at ${fault.point}` : fault.kind;
}
