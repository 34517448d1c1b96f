import { setTimeout as sleep } from "node:timers/promises";
import { type Link, type PlainFault } from "../plan/fault.ts";
import { type Replica } from "../world/replica.ts";
import { type World } from "../world/world.ts";
import { disturb } from "./disturb.ts";

/** Applies a fault to one API or worker, and heals it. */
export async function runOnReplica(
  world: World,
  fault: Extract<PlainFault, { worker: number } | { api: number }>,
  replica: Replica,
): Promise<void> {
  const { ms } = fault;
  switch (fault.kind) {
    case "worker-kill":
    case "api-kill":
      await replica.kill();
      await sleep(ms);
      await replace(world, replica);
      return;
    case "worker-pause":
    case "api-pause":
      replica.pause();
      await sleep(ms);
      replica.resume();
      return;
    case "worker-redeploy":
      await redeploy(world, replica, fault.isOverlapping);
      return;
    case "api-redeploy":
      await redeploy(world, replica, true);
      return;
    case "worker-cut-off":
    case "api-cut-off":
      await cutOff(replica, fault);
  }
}

async function cutOff(
  replica: Replica,
  fault: { link: Link; isHalfOpen: boolean; ms: number },
): Promise<void> {
  const proxy = replica.links[fault.link];
  if (fault.isHalfOpen) {
    await disturb(proxy, { how: "half-open", byMs: 0, ms: fault.ms });
    return;
  }
  await proxy.cut();
  await sleep(fault.ms);
  // The process may have been ended meanwhile, and its networks with it.
  if (!replica.isEnding) await proxy.restore();
}

/** A deployment: SIGTERM, on which a process must end in good order. */
export async function redeploy(world: World, replica: Replica, isOverlapping: boolean): Promise<void> {
  world.busy.add(replica.name);
  try {
    const successor = isOverlapping ? world.startReplica(replica.kind) : null;
    await successor;
    const wasStoreAway = isPostgresAway(world, replica);
    const how = await replica.stop();
    // If the database does not answer at all, the worker cannot hand its leases back in time, and exits with an error.
    if (how !== 0 && !wasStoreAway && !isPostgresAway(world, replica)) {
      world.deaths.push(`${replica.name} was asked to stop and ended with ${how}: ${lastLines(replica)}`);
    }
    putInPlace(world, replica, await (successor ?? world.startReplica(replica.kind)));
  } finally {
    world.busy.delete(replica.name);
  }
}

function isPostgresAway(world: World, replica: Replica): boolean {
  return world.busy.has("postgres") || world.busy.has(`${replica.name} postgres`);
}

/** Starts a process to replace one that has ended. */
export async function replace(world: World, replica: Replica): Promise<void> {
  putInPlace(world, replica, await world.startReplica(replica.kind));
}

function putInPlace(world: World, past: Replica, next: Replica): void {
  const list = past.kind === "api" ? world.apis : world.workers;
  const place = list.indexOf(past);
  if (place < 0) list.push(next);
  else list[place] = next;
}

function lastLines(replica: Replica): string {
  return replica.lines.slice(-4).join(" | ");
}
