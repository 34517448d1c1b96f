import { parseArgs } from "node:util";
import { Figures, runChaos } from "@genga/testing";
import { startChaosServices } from "./chaos-services.ts";

const usage = `npm run chaos            rounds of seeded faults against real processes, judged by their history
  -- --seed 1            which plan; the same seed gives the same plan
  -- --rounds 5          how many rounds of it
  -- --seeds 20          as many seeds, one after the other, each from a fresh start
  -- --round 3           only this round of the plan`;

/** Ends the process with this code: 0 every promise was kept, 1 one was not. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      seeds: { type: "string", default: "1" },
      rounds: { type: "string", default: "5" },
      round: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const [firstSeed, seeds, rounds] = [values.seed, values.seeds, values.rounds].map(wholeNumber);
  const stopping = stopSignal();
  const figures = new Figures();
  const failingSeeds: number[] = [];
  const services = await startChaosServices(say);
  try {
    for (let seed = firstSeed ?? 1; seed < (firstSeed ?? 1) + (seeds ?? 1); seed += 1) {
      if (stopping.aborted) break;
      const violations = await runChaos({
        ...{ seed, rounds: rounds ?? 5, figures, report: say, signal: stopping },
        ...(values.round !== undefined && { onlyRound: wholeNumber(values.round) }),
        services: await services.fresh(),
        failureFolder: ".genga/chaos",
      });
      if (violations.length > 0) failingSeeds.push(seed);
    }
  } catch (error) {
    if (!stopping.aborted) throw error;
  } finally {
    await services.stop();
  }
  say(`\n${figures.toString()}`);
  say(failingSeeds.length === 0 ? "no violation" : `seeds with violations: ${failingSeeds.join(", ")}`);
  return failingSeeds.length === 0 && !stopping.aborted ? 0 : 1;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`"${text}" is not a whole number`);
  return Number(text);
}

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(1);
      say("ending after this round; again to end at once");
      controller.abort(new Error(`stopped by ${name}`));
    });
  }
  return controller.signal;
}

function say(line: string): void {
  console.log(line);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exitCode = 1;
}
