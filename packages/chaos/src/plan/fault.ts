import { type Random } from "./random.ts";

/** Points in a job's life at which a fault may happen, recognised by the bytes that pass the network. */
export const jobPoints = [
  /** The API has sent the statement that stores a job, and its answer is on the way. */
  "accept-committed",
  /** A worker's claim is stored, and its answer is on the way. */
  "claim-committed",
  /** `POST /prompt` is on the way to the server. */
  "before-post",
  /** The server has the prompt, and its reply is on the way. */
  "after-post",
  "executing",
  /** The server says that the prompt succeeded. */
  "completion",
  /** A worker fetches an output. */
  "saving",
  /** The server sends it. */
  "downloading",
  /** The statement that ends an attempt is on the way. */
  "before-commit",
  /** The end of an attempt is stored, and the answer is on the way. */
  "committed",
  /** The end is known, and the ticket is about to be finished. */
  "ticket-ack",
] as const;
export type JobPoint = (typeof jobPoints)[number];

/**
 * What happens there. `kill`: SIGKILL to the process whose traffic it is; `pause`: SIGSTOP for `ms`, longer than a lease
 * or shorter; `reset`: the connection breaks; `hold`: what passed and what follows arrives `ms` later.
 */
export const pointActions = ["kill", "pause", "reset", "hold"] as const;
type PointAction = (typeof pointActions)[number];

/** The three networks between the processes. */
export type Link = "postgres" | "redis";

/**
 * Something that goes wrong, with its target by number (taken modulo how many there are) and how long it lasts until
 * it is healed: a killed process is started again, a cut network is joined.
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
  /** Healed by a restart: nothing else helps a dead executor thread. */
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
  /** A lock that somebody holds: statements on jobs wait, and with them every connection of every pool. */
  | { kind: "postgres-locked" }
  /** It takes no connection any more, and has ended those that there were. */
  | { kind: "postgres-full" }
  | { kind: "redis-kill" }
  | { kind: "redis-flush" }
  | { kind: "redis-cut" }
  | { kind: "redis-half-open" }
  /** Its memory is used up: it answers, and takes nothing more. */
  | { kind: "redis-full" }
  | { kind: "redis-delay"; byMs: number }
  /** One process is cut off from one store: the others see it vanish. */
  | { kind: "worker-cut-off"; worker: number; link: Link; isHalfOpen: boolean }
  | { kind: "api-cut-off"; api: number; link: Link; isHalfOpen: boolean }
  | { kind: "at-point"; point: JobPoint; action: PointAction }
);
/** A fault that begins at its moment in the plan, and does not wait for a point in a job's life. */
export type PlainFault = Exclude<Fault, { kind: "at-point" }>;
type FaultKind = Fault["kind"];

/** How often each kind is drawn. */
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
  // Around the lease of the suite (1.5 s) and the servers' grace (3 s): shorter, between, and longer.
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

/** @param name as `nameOfFault` tells it @throws RangeError when there is no such fault */
export function drawFaultNamed(random: Random, name: string): Fault {
  for (let tries = 0; tries < 20_000; tries += 1) {
    const fault = drawFault(random);
    if (nameOfFault(fault) === name) return fault;
  }
  throw new RangeError(`There is no fault "${name}".`);
}

/** In words, as figures and failures name it. */
export function nameOfFault(fault: Fault): string {
  return fault.kind === "at-point" ? `${fault.action} at ${fault.point}` : fault.kind;
}
