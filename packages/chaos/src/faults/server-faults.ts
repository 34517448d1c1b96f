import { setTimeout as sleep } from "node:timers/promises";
import { type PlainFault } from "../plan/fault.ts";
import { type SimulatedServer } from "../world/simulated-server.ts";
import { type World } from "../world/world.ts";
import { disturb, howOf } from "./disturb.ts";

/** Applies a fault to one ComfyUI server, and heals it. */
export async function runOnServer(
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
      await endAndRestart(world, server, () =>
        fault.kind === "simulator-kill" ? server.kill() : crash(server),
      )(ms);
      return;
    case "simulator-wedge":
      await server.fault({ kind: "wedge" });
      await sleep(ms);
      await endAndRestart(world, server, () => server.kill())(0);
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

/** Ends the server's process and starts it again after a while, without its queue and its history. */
function endAndRestart(world: World, server: SimulatedServer, end: () => Promise<void>) {
  return async (ms: number): Promise<void> => {
    server.isEnding = true;
    await end();
    world.beginTrouble("memory-lost", server.url)();
    await sleep(ms);
    await server.startAgain();
  };
}

async function crash(server: SimulatedServer): Promise<void> {
  // The server ends before it can answer.
  await server.fault({ kind: "crash" }).catch(() => undefined);
}
