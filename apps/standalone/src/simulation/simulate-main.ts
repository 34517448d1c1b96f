// npm run simulate -- [options]: schedules work in virtual time, by the functions that the product uses.
import { compareSchedulers } from "./compare-schedulers.ts";
import { readSimulationOptions, simulationHelp } from "./simulation-options.ts";
import { simulationReport } from "./simulation-report.ts";

try {
  const options = readSimulationOptions(process.argv.slice(2));
  if (options === null) {
    console.log(simulationHelp());
  } else {
    const beganAt = performance.now();
    console.log(simulationReport(compareSchedulers(options)));
    const tookS = ((performance.now() - beganAt) / 1_000).toFixed(1);
    const memoryMb = Math.round(process.resourceUsage().maxRSS / 1_024);
    console.log(`\nseed ${options.seed}; simulated in ${tookS} s with at most ${memoryMb} MB`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
