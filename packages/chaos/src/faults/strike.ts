import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type ProxiedConnection } from "@genga/testing";
import { type Fault } from "../plan/fault.ts";
import { type Member } from "../world/member.ts";
import { PointDetector } from "../world/strike-points.ts";
import { type Passenger, type World } from "../world/world.ts";

type StrikeFault = Extract<Fault, { kind: "strike" }>;

/** An armed strike; `done` resolves when it has hit and all is healed, or at once when it is disarmed before. */
export interface ArmedStrike {
  /** When it hit; `null` = not yet. */
  hitAt(): number | null;
  /** When what it broke was whole again; `null` = not yet. */
  healedAt(): number | null;
  disarm(): Promise<void>;
}

/** Waits for the point to be reached, once, and strikes there. */
export function armStrike(world: World, fault: StrikeFault, restart: RestartMember): ArmedStrike {
  const detector = new PointDetector(fault.point);
  let hitAt: number | null = null;
  let healedAt: number | null = null;
  let done = Promise.resolve();
  const stop = world.observe((passage, passenger) => {
    if (hitAt !== null || !detector.test(passage, passenger)) return;
    hitAt = Date.now();
    stop();
    passage.connection.hold();
    done = strike(world, fault, passage.connection, passenger, restart).then(() => {
      healedAt = Date.now();
    });
  });
  return {
    hitAt: () => hitAt,
    healedAt: () => healedAt,
    disarm: async () => {
      stop();
      await done;
    },
  };
}

/** Starts a process in the place of one that was killed. */
export type RestartMember = (member: Member) => Promise<void>;

async function strike(
  world: World,
  fault: StrikeFault,
  connection: ProxiedConnection,
  passenger: Passenger,
  restart: RestartMember,
): Promise<void> {
  const endTroubles = [
    world.beginTrouble("workers"),
    world.beginTrouble("apis"),
    ...("server" in passenger ? [world.beginTrouble("unreachable", passenger.server.url)] : []),
  ];
  try {
    const isProcess = fault.strike === "kill" || fault.strike === "pause";
    const victim = isProcess ? await victimOf(world, passenger) : undefined;
    // Somebody else works on it already, or it is gone: then the connection is what breaks.
    const target = victim === undefined || world.busy.has(victim.name) ? undefined : victim;
    if (fault.strike === "hold") {
      await sleep(fault.ms);
      connection.release();
    } else if (target === undefined) {
      connection.reset();
    } else {
      await strikeMember(world, fault, connection, target, restart);
    }
  } finally {
    for (const end of endTroubles) end();
  }
}

async function strikeMember(
  world: World,
  fault: StrikeFault,
  connection: ProxiedConnection,
  member: Member,
  restart: RestartMember,
): Promise<void> {
  world.busy.add(member.name);
  try {
    if (fault.strike === "kill") {
      await member.kill();
      connection.reset();
      await sleep(fault.ms);
      await restart(member);
    } else {
      member.pause();
      connection.release();
      await sleep(fault.ms);
      member.resume();
    }
  } finally {
    world.busy.delete(member.name);
  }
}

const serversSchema = z.object({
  servers: z.array(z.object({ url: z.string(), worker: z.string().nullable() })),
});

/** The process whose traffic it is; of a server's, the worker that owns the server. */
async function victimOf(world: World, passenger: Passenger): Promise<Member | undefined> {
  if ("member" in passenger) return passenger.member.isEnding ? undefined : passenger.member;
  const owner = await ownerOf(world, passenger.server.url);
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
