import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startEmbeddedServices } from "@genga/embedded";
import { DoorTarget } from "./door-target.ts";
import { RealControl } from "./real-control.ts";
import { RealTarget } from "./real-target.ts";
import { heldTo } from "./real-version.ts";
import { recordings, type Recording } from "./recordings.ts";
import { replaySteadily, report, type Outcome, type Target } from "./run-conformance.ts";
import { SimulatorTarget } from "./simulator-target.ts";

/**
 * `npm run test:conformance [-- door | door-of-three] [NAME…]`: the recordings, or those whose names begin so, against the simulator, the
 * server at COMFYUI_URL, or Genga's door for ComfyUI's clients with one or three simulators behind it.
 */
async function main(): Promise<void> {
  const [first = "", ...others] = process.argv.slice(2);
  const doors = { door: 1, "door-of-three": 3 } as const;
  if (first === "door" || first === "door-of-three") await throughDoor(doors[first], others);
  else await againstServer(process.argv.slice(2));
}

async function againstServer(beginnings: readonly string[]): Promise<void> {
  const url = process.env["COMFYUI_URL"];
  const held = url === undefined ? undefined : await heldTo(url);
  const target: Target =
    url === undefined || held === undefined
      ? new SimulatorTarget()
      : new RealTarget(url, held, realOptions());
  const chosen = chosenBy(beginnings).filter(({ version }) => (held?.version ?? version) === version);
  await replayAll(target, chosen);
}

/** With a PostgreSQL and a Redis of its own. */
async function throughDoor(servers: 1 | 3, beginnings: readonly string[]): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), "genga-conformance-"));
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  process.env["TEST_DATABASE_URL"] = services.databaseUrl;
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  try {
    await replayAll(new DoorTarget(servers), chosenBy(beginnings));
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function chosenBy(beginnings: readonly string[]): Recording[] {
  return recordings.filter(
    ({ name }) => beginnings.length === 0 || beginnings.some((beginning) => name.startsWith(beginning)),
  );
}

async function replayAll(target: Target, chosen: readonly Recording[]): Promise<void> {
  const outcomes: Outcome[] = [];
  try {
    process.stdout.write(`${chosen.length} recordings against the ${target.name}\n`);
    for (const recording of chosen) {
      const began = performance.now();
      const outcome = await replaySteadily(target, recording);
      outcomes.push(outcome);
      process.stdout.write(`${recording.name} (${Math.round(performance.now() - began)} ms)\n`);
    }
  } finally {
    await target.stop();
  }
  process.stdout.write(`${report(outcomes)}\n`);
  if (outcomes.some(({ unexplained }) => unexplained > 0)) process.exitCode = 1;
}

function realOptions(): ConstructorParameters<typeof RealTarget>[2] {
  const { COMFYUI_OUTPUT_DIR: outputDir, COMFYUI_CONTROL: program } = process.env;
  return { outputDir, control: program === undefined ? undefined : new RealControl(program) };
}

await main();
