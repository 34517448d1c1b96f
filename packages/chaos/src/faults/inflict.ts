import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, type PlainFault } from "../plan/fault.ts";
import { type Replica } from "../world/replica.ts";
import { type SimulatedServer } from "../world/simulated-server.ts";
import { type World } from "../world/world.ts";
import { disturb, howOf } from "./disturb.ts";
import { armPointFault, type ArmedFault } from "./point-fault.ts";
import { redeploy, replace, runOnReplica } from "./replica-faults.ts";
import { runOnServer } from "./server-faults.ts";

/** What became of a planned fault. Times are milliseconds since 1970. */
export interface Inflicted {
  fault: Fault;
  /** `null`: it did not happen, because its target had another fault or its point was not reached. */
  beganAt: number | null;
  healedAt: number | null;
}

/** A fault that has begun. */
export interface Ongoing {
  /** Resolves when the fault is healed. */
  healed: Promise<Inflicted>;
  /**
   * Called when the activity of the round is over: a fault that still waits for its moment does not happen any more.
   */
  readonly callOff: () => void;
}

/** Begins a fault, which ends by itself after its time. */
export function inflict(world: World, fault: Fault): Ongoing {
  if (fault.kind === "at-point") {
    const armed = armPointFault(world, fault, (replica) => replace(world, replica));
    let callOff = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      callOff = resolve;
    });
    return { healed: over.then(() => endOfPointFault(fault, armed)), callOff };
  }
  const target = targetOf(world, fault);
  const healed =
    target === null || world.busy.has(target)
      ? Promise.resolve({ fault, beganAt: null, healedAt: null })
      : inflictOn(world, fault, target);
  return { healed, callOff: () => undefined };
}

async function endOfPointFault(fault: Fault, armed: ArmedFault): Promise<Inflicted> {
  await armed.disarm();
  return { fault, beganAt: armed.beganAt(), healedAt: armed.healedAt() };
}

async function inflictOn(world: World, fault: PlainFault, target: string): Promise<Inflicted> {
  world.busy.add(target);
  const beganAt = Date.now();
  const endTroubles = troublesOf(world, fault);
  try {
    await run(world, fault);
    return { fault, beganAt, healedAt: Date.now() };
  } finally {
    world.busy.delete(target);
    for (const end of endTroubles) end();
  }
}

/** The name of the fault's target, which no other fault may have at the same time; `null`: there is no target. */
function targetOf(world: World, fault: PlainFault): string | null {
  if ("link" in fault) return `${replicaOf(world, fault)?.name ?? ""} ${fault.link}`;
  if ("worker" in fault || "api" in fault) return replicaOf(world, fault)?.name ?? null;
  if ("simulator" in fault) return serverOf(world, fault).url;
  if (fault.kind === "rolling-restart") return "workers";
  return fault.kind.startsWith("postgres") ? "postgres" : "redis";
}

function replicaOf(world: World, fault: PlainFault): Replica | undefined {
  const replica =
    "worker" in fault
      ? world.workers[fault.worker % world.workers.length]
      : "api" in fault
        ? world.apis[fault.api % world.apis.length]
        : undefined;
  return replica?.isEnding === true ? undefined : replica;
}

function serverOf(world: World, fault: { simulator: number }): SimulatedServer {
  const server = world.simulators[fault.simulator % world.simulators.length];
  if (server === undefined) throw new Error("There is no simulator.");
  return server;
}

/** Records what the fault explains; see `Trouble`. */
function troublesOf(world: World, fault: PlainFault): (() => void)[] {
  if ("simulator" in fault) {
    const { url } = serverOf(world, fault);
    return harmless.has(fault.kind) ? [] : [world.beginTrouble("unreachable", url)];
  }
  if ("api" in fault) return [world.beginTrouble("apis")];
  return [world.beginTrouble("workers"), ...("worker" in fault ? [] : [world.beginTrouble("apis")])];
}

const harmless: ReadonlySet<string> = new Set(["simulator-out-of-memory", "simulator-output-lost"]);

async function run(world: World, fault: PlainFault): Promise<void> {
  const { ms } = fault;
  if ("simulator" in fault) {
    await runOnServer(world, fault, serverOf(world, fault));
    return;
  }
  if ("worker" in fault || "api" in fault) {
    const replica = replicaOf(world, fault);
    if (replica !== undefined) await runOnReplica(world, fault, replica);
    return;
  }
  const { postgres, redis } = world.services;
  switch (fault.kind) {
    case "rolling-restart":
      for (const worker of [...world.workers]) {
        if (!worker.isEnding && !world.busy.has(worker.name)) await redeploy(world, worker, true);
      }
      return;
    case "postgres-crash":
      await postgres.crash(fault.how);
      await sleep(Math.min(ms, 1_000));
      await postgres.startAgain();
      return;
    case "redis-kill":
      await redis.crash("SIGKILL");
      await sleep(ms);
      await redis.startAgain();
      return;
    case "redis-flush":
      await redis.flush();
      return;
    case "redis-full":
      await redis.beFull(true);
      await sleep(ms);
      await redis.beFull(false);
      return;
    case "postgres-locked":
      await postgres.lockJobs(ms);
      return;
    case "postgres-full":
      await postgres.beFull(true);
      await sleep(ms);
      await postgres.beFull(false);
      return;
    case "postgres-cut":
    case "postgres-half-open":
    case "postgres-delay":
    case "redis-cut":
    case "redis-half-open":
    case "redis-delay":
      await disturb(world.gateways[fault.kind.startsWith("postgres") ? "postgres" : "redis"], {
        how: howOf(fault.kind),
        byMs: "byMs" in fault ? fault.byMs : 0,
        ms,
      });
  }
}
