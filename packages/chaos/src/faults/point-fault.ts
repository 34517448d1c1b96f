import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type ProxiedConnection } from "@genga/testing";
import { type Fault } from "../plan/fault.ts";
import { type Replica } from "../world/replica.ts";
import { PointDetector } from "../world/job-points.ts";
import { type TrafficSource } from "../world/traffic-source.ts";
import { type World } from "../world/world.ts";

type PointFault = Extract<Fault, { kind: "at-point" }>;

/** A fault that waits for a point in a job's life, or has begun there. */
export interface ArmedFault {
  /** When it began; `null` = not yet. */
  beganAt(): number | null;
  /** When everything that it broke worked again; `null` = not yet. */
  healedAt(): number | null;
  disarm(): Promise<void>;
}

/** Waits until the point is reached for the first time, and begins the fault there. */
export function armPointFault(world: World, fault: PointFault, restart: RestartReplica): ArmedFault {
  const detector = new PointDetector(fault.point);
  let beganAt: number | null = null;
  let healedAt: number | null = null;
  let done = Promise.resolve();
  const stop = world.observe((passage, source) => {
    if (beganAt !== null || !detector.test(passage, source)) return;
    beganAt = Date.now();
    stop();
    passage.connection.hold();
    done = act(world, fault, passage.connection, source, restart).then(() => {
      healedAt = Date.now();
    });
  });
  return {
    beganAt: () => beganAt,
    healedAt: () => healedAt,
    disarm: async () => {
      stop();
      await done;
    },
  };
}

/** Starts a process to replace one that was killed. */
export type RestartReplica = (replica: Replica) => Promise<void>;

async function act(
  world: World,
  fault: PointFault,
  connection: ProxiedConnection,
  source: TrafficSource,
  restart: RestartReplica,
): Promise<void> {
  const endTroubles = [
    world.beginTrouble("workers"),
    world.beginTrouble("apis"),
    ...("server" in source ? [world.beginTrouble("unreachable", source.server.url)] : []),
  ];
  try {
    const isProcess = fault.action === "kill" || fault.action === "pause";
    const victim = isProcess ? await victimOf(world, source) : undefined;
    // If the process has another fault already, or has ended, the fault breaks the connection instead.
    const target = victim === undefined || world.busy.has(victim.name) ? undefined : victim;
    if (fault.action === "hold") {
      await sleep(fault.ms);
      connection.release();
    } else if (target === undefined) {
      connection.reset();
    } else {
      await actOnReplica(world, fault, connection, target, restart);
    }
  } finally {
    for (const end of endTroubles) end();
  }
}

async function actOnReplica(
  world: World,
  fault: PointFault,
  connection: ProxiedConnection,
  replica: Replica,
  restart: RestartReplica,
): Promise<void> {
  world.busy.add(replica.name);
  try {
    if (fault.action === "kill") {
      await replica.kill();
      connection.reset();
      await sleep(fault.ms);
      await restart(replica);
    } else {
      replica.pause();
      connection.release();
      await sleep(fault.ms);
      replica.resume();
    }
  } finally {
    world.busy.delete(replica.name);
  }
}

const serversSchema = z.object({
  servers: z.array(z.object({ url: z.string(), worker: z.string().nullable() })),
});

/** The process that the traffic belongs to; for a server's traffic, the worker that owns the server. */
async function victimOf(world: World, source: TrafficSource): Promise<Replica | undefined> {
  if ("replica" in source) return source.replica.isEnding ? undefined : source.replica;
  const owner = await ownerOf(world, source.server.url);
  return world.workers.find(({ name, isEnding }) => name === owner && !isEnding);
}

async function ownerOf(world: World, serverUrl: string): Promise<string | null> {
  for (const api of world.apis) {
    try {
      const response = await fetch(`${api.url}/api/anime/servers`, { signal: AbortSignal.timeout(500) });
      const { servers } = serversSchema.parse(await response.json());
      return servers.find(({ url }) => url === serverUrl)?.worker ?? null;
    } catch {
      continue; // it may be dead or paused itself
    }
  }
  return null;
}
