import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, type Link } from "../plan/fault.ts";
import { disturb, howOf } from "./disturb.ts";
import { type Member } from "../world/member.ts";
import { type SimulatedServer } from "../world/simulated-server.ts";
import { armStrike, type ArmedStrike } from "./strike.ts";
import { type World } from "../world/world.ts";

/** What became of a planned fault. Moments are milliseconds since 1970. */
export interface Inflicted {
  fault: Fault;
  /** `null`: it did not happen, because its target was under another fault or its point was not reached. */
  beganAt: number | null;
  healedAt: number | null;
}

/** A fault under way. */
export interface Ongoing {
  /** Resolves when it is healed. */
  healed: Promise<Inflicted>;
  /** The round's activity is over: what still waits for its moment is called off. */
  readonly callOff: () => void;
}

/** Begins a fault; after its time it heals itself. */
export function inflict(world: World, fault: Fault): Ongoing {
  if (fault.kind === "strike") {
    const armed = armStrike(world, fault, (member) => replace(world, member));
    let callOff = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      callOff = resolve;
    });
    return { healed: over.then(() => endOfStrike(fault, armed)), callOff };
  }
  const target = targetOf(world, fault);
  const healed =
    target === null || world.busy.has(target)
      ? Promise.resolve({ fault, beganAt: null, healedAt: null })
      : inflictOn(world, fault, target);
  return { healed, callOff: () => undefined };
}

async function endOfStrike(fault: Fault, armed: ArmedStrike): Promise<Inflicted> {
  await armed.disarm();
  return { fault, beganAt: armed.hitAt(), healedAt: armed.healedAt() };
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

type PlainFault = Exclude<Fault, { kind: "strike" }>;

/** What it works on, by a name that two faults never share; `null`: there is nothing. */
function targetOf(world: World, fault: PlainFault): string | null {
  if ("link" in fault) return `${memberOf(world, fault)?.name ?? ""} ${fault.link}`;
  if ("worker" in fault || "api" in fault) return memberOf(world, fault)?.name ?? null;
  if ("simulator" in fault) return serverOf(world, fault).url;
  if (fault.kind === "rolling-restart") return "workers";
  return fault.kind.startsWith("postgres") ? "postgres" : "redis";
}

function memberOf(world: World, fault: PlainFault): Member | undefined {
  const member =
    "worker" in fault
      ? world.workers[fault.worker % world.workers.length]
      : "api" in fault
        ? world.apis[fault.api % world.apis.length]
        : undefined;
  return member?.isEnding === true ? undefined : member;
}

function serverOf(world: World, fault: { simulator: number }): SimulatedServer {
  const server = world.simulators[fault.simulator % world.simulators.length];
  if (server === undefined) throw new Error("There is no simulator.");
  return server;
}

/** What the fault explains; see `Trouble`. */
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
    const member = memberOf(world, fault);
    if (member !== undefined) await runOnMember(world, fault, member);
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

async function runOnMember(
  world: World,
  fault: Extract<PlainFault, { worker: number } | { api: number }>,
  member: Member,
): Promise<void> {
  const { ms } = fault;
  switch (fault.kind) {
    case "worker-kill":
    case "api-kill":
      await member.kill();
      await sleep(ms);
      await replace(world, member);
      return;
    case "worker-pause":
    case "api-pause":
      member.pause();
      await sleep(ms);
      member.resume();
      return;
    case "worker-redeploy":
      await redeploy(world, member, fault.isOverlapping);
      return;
    case "api-redeploy":
      await redeploy(world, member, true);
      return;
    case "worker-cut-off":
    case "api-cut-off":
      await cutOff(member, fault);
  }
}

async function cutOff(member: Member, fault: { link: Link; isHalfOpen: boolean; ms: number }): Promise<void> {
  const proxy = member.links[fault.link];
  if (fault.isHalfOpen) {
    await disturb(proxy, { how: "half-open", byMs: 0, ms: fault.ms });
    return;
  }
  await proxy.cut();
  await sleep(fault.ms);
  // The process may have been ended meanwhile, and with it its networks.
  if (!member.isEnding) await proxy.restore();
}

async function runOnServer(
  world: World,
  fault: Extract<PlainFault, { simulator: number }>,
  server: SimulatedServer,
): Promise<void> {
  const { ms } = fault;
  switch (fault.kind) {
    case "simulator-cut":
    case "simulator-half-open":
    case "simulator-delay":
      await disturb(server.proxy, {
        how: howOf(fault.kind),
        byMs: "byMs" in fault ? fault.byMs : 0,
        ms,
      });
      return;
    case "simulator-pause":
      server.pause();
      await sleep(ms);
      server.resume();
      return;
    case "simulator-freeze":
      await server.fault({ kind: "freeze", ms });
      await sleep(ms);
      return;
    case "simulator-kill":
    case "simulator-crash":
      await rebirth(world, server, () => (fault.kind === "simulator-kill" ? server.kill() : crash(server)))(
        ms,
      );
      return;
    case "simulator-wedge":
      await server.fault({ kind: "wedge" });
      await sleep(ms);
      await rebirth(world, server, () => server.kill())(0);
      return;
    case "simulator-amnesia":
      await server.fault({ kind: "amnesia" });
      world.beginTrouble("memory-lost", server.url)();
      return;
    case "simulator-restart":
      await server.fault({ kind: "restart", downMs: ms });
      world.beginTrouble("memory-lost", server.url)();
      return;
    case "simulator-slow-replies":
      await server.fault({ kind: "delay-replies", path: fault.path, ms: Math.min(ms, 1_500) });
      await sleep(ms);
      await server.fault({ kind: "delay-replies", path: fault.path, ms: 0 });
      return;
    case "simulator-out-of-memory":
      await server.fault({ kind: "out-of-memory", next: 1 });
      return;
    case "simulator-output-lost":
    case "simulator-lost-reply":
      await server.fault({ kind: fault.how, next: 1 });
      await sleep(ms);
      return;
    case "simulator-drop-sockets":
      await server.fault({ kind: "drop-sockets" });
      return;
    case "simulator-half-open-sockets":
      await server.fault({ kind: "half-open-sockets" });
      await sleep(ms);
  }
}

/** Ends the server's process, and starts it again after a while; it remembers nothing. */
function rebirth(world: World, server: SimulatedServer, end: () => Promise<void>) {
  return async (ms: number): Promise<void> => {
    server.isEnding = true;
    await end();
    world.beginTrouble("memory-lost", server.url)();
    await sleep(ms);
    await server.startAgain();
  };
}

async function crash(server: SimulatedServer): Promise<void> {
  // It ends before it can answer.
  await server.fault({ kind: "crash" }).catch(() => undefined);
}

/** A deployment: SIGTERM, which a process has to obey in order. */
async function redeploy(world: World, member: Member, isOverlapping: boolean): Promise<void> {
  world.busy.add(member.name);
  try {
    const successor = isOverlapping ? world.startMember(member.kind) : null;
    await successor;
    const wasStoreAway = isPostgresAway(world, member);
    const how = await member.stop();
    // When the database says nothing at all, the leases cannot be handed back in time, and that is told.
    if (how !== 0 && !wasStoreAway && !isPostgresAway(world, member)) {
      world.deaths.push(`${member.name} was asked to stop and ended with ${how}: ${lastWords(member)}`);
    }
    putInPlace(world, member, await (successor ?? world.startMember(member.kind)));
  } finally {
    world.busy.delete(member.name);
  }
}

function isPostgresAway(world: World, member: Member): boolean {
  return world.busy.has("postgres") || world.busy.has(`${member.name} postgres`);
}

async function replace(world: World, member: Member): Promise<void> {
  putInPlace(world, member, await world.startMember(member.kind));
}

function putInPlace(world: World, past: Member, next: Member): void {
  const list = past.kind === "api" ? world.apis : world.workers;
  const place = list.indexOf(past);
  if (place < 0) list.push(next);
  else list[place] = next;
}

function lastWords(member: Member): string {
  return member.lines.slice(-4).join(" | ");
}
