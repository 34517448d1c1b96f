import { RealControl } from "./real-control.ts";
import { RealTarget } from "./real-target.ts";
import { heldTo } from "./real-version.ts";
import { recordings } from "./recordings.ts";
import { replayAgainst, report, type Outcome, type Target } from "./run-conformance.ts";
import { SimulatorTarget } from "./simulator-target.ts";

/** `npm run test:conformance [-- NAME…]`: the recordings, or those whose names begin so, against a real server. */
async function main(): Promise<void> {
  const url = process.env["COMFYUI_URL"];
  const held = url === undefined ? undefined : await heldTo(url);
  const target: Target =
    url === undefined || held === undefined
      ? new SimulatorTarget()
      : new RealTarget(url, held, realOptions());
  const beginnings = process.argv.slice(2);
  const chosen = recordings.filter(
    ({ name, version }) =>
      (held?.version ?? version) === version &&
      (beginnings.length === 0 || beginnings.some((beginning) => name.startsWith(beginning))),
  );
  const outcomes: Outcome[] = [];
  try {
    process.stdout.write(`${chosen.length} recordings against the ${target.name} ${url ?? ""}\n`);
    for (const recording of chosen) {
      const began = performance.now();
      outcomes.push(await replayAgainst(target, recording));
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
