import { type ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** What children may take to end after they were asked to. */
const endMs = 5_000;
/** The embedded servers, and what ends them once this process is gone. */
const guarded: ReadonlySet<string> = new Set(["sh", "postgres", "valkey-server", "redis-server"]);
/** What shells say of a program that a signal ended: 128 + its number. */
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

const messageSchema = z.object({ process: z.custom<ChildProcess>() });

/** From now on, a signal that ends this process ends the processes that it has started as well, however deep in a library. */
export function endChildrenOnSignals(): void {
  const children = new Set<ChildProcess>();
  subscribe("child_process", (message) => {
    const child = messageSchema.parse(message).process;
    children.add(child);
    child.once("exit", () => children.delete(child));
    child.once("error", () => children.delete(child));
  });
  const signal = (name: NodeJS.Signals): void => {
    for (const child of children) if (!guarded.has(basename(child.spawnfile))) child.kill(name);
  };
  for (const [name, code] of Object.entries(exitCodes) as [NodeJS.Signals, number][]) {
    process.once(name, () => {
      // The benchmark may fail meanwhile, since its servers are gone.
      process.once("exit", () => {
        signal("SIGKILL");
      });
      const exits = [...children].flatMap((child) =>
        guarded.has(basename(child.spawnfile)) ? [] : [once(child, "exit")],
      );
      signal("SIGTERM");
      void Promise.race([Promise.allSettled(exits), sleep(endMs)]).finally(() => process.exit(code));
    });
  }
}
