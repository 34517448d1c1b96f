import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { Figures } from "./figures/figures.ts";
import { runChaos } from "./rounds/run-chaos.ts";
import { startServices } from "./services/start-services.ts";

const usage = `npm run chaos            rounds of seeded faults against real processes, judged by their history
  -- --seed 1            which plan; the same seed gives the same plan
  -- --rounds 5          how many rounds of it
  -- --seeds 20          as many seeds, one after the other, each from a fresh start
  -- --parallel 2        so many seeds side by side, each with a Postgres and a Redis of its own
  -- --round 3           only this round of the plan
  -- --fault "kill at saving"   nothing but this fault, once in each round, as the figures name it
  -- --keep              leave history and logs of every round, not only of those that fail
  -- --figures FILE      where the figures so far are kept; default .genga/chaos/figures.json
Ctrl-C tells the figures so far and ends after the rounds under way; once more ends at once.`;

interface Choice {
  seeds: number[];
  rounds: number;
  onlyRound: number | null;
  onlyFault: string | null;
  parallel: number;
  keepsAll: boolean;
  figuresFile: string;
}

/** The exit code: 0 = every promise was kept; 1 = a promise was broken, or not all rounds were played. */
async function main(): Promise<number> {
  const choice = readChoice();
  if (choice === null) {
    console.log(usage);
    return 0;
  }
  const figures = new Figures();
  const failingSeeds: number[] = [];
  const keeper = new FiguresKeeper(choice.figuresFile, figures, failingSeeds);
  const stopping = stopSignal(() => {
    say(`\nso far:\n${figures.toString()}\nending after the rounds under way; again to end at once`);
  });
  const waiting = [...choice.seeds];
  const play = async (): Promise<void> => {
    const services = await startServices(say);
    try {
      for (let seed = waiting.shift(); seed !== undefined && !stopping.aborted; seed = waiting.shift()) {
        const violations = await runChaos({
          ...{
            seed,
            rounds: choice.rounds,
            keepsAll: choice.keepsAll,
            figures,
            report: say,
            signal: stopping,
          },
          ...(choice.onlyRound !== null && { onlyRound: choice.onlyRound }),
          ...(choice.onlyFault !== null && { onlyFault: choice.onlyFault }),
          onRound: () => {
            keeper.keepSoon();
          },
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
  };
  const lanes = await Promise.allSettled(Array.from({ length: choice.parallel }, play));
  await keeper.close();
  say(`\n${figures.toString()}`);
  const { unseenPoints, missedExercises } = figures;
  if (unseenPoints.length > 0) say(`STALE: these points were never recognised: ${unseenPoints.join(", ")}`);
  if (missedExercises.length > 0) say(`MISSED: these never happened: ${missedExercises.join(", ")}`);
  say(failingSeeds.length === 0 ? "no violation" : `seeds with violations: ${failingSeeds.join(", ")}`);
  for (const lane of lanes) if (lane.status === "rejected") throw lane.reason;
  const isWhole = unseenPoints.length === 0 && missedExercises.length === 0 && !stopping.aborted;
  return failingSeeds.length === 0 && isWhole ? 0 : 1;
}

/** `null`: the command was asked for its help. */
function readChoice(): Choice | null {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      seeds: { type: "string", default: "1" },
      rounds: { type: "string", default: "5" },
      parallel: { type: "string", default: "1" },
      round: { type: "string" },
      fault: { type: "string" },
      keep: { type: "boolean", default: false },
      figures: { type: "string", default: join(".genga", "chaos", "figures.json") },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return null;
  const first = wholeNumber(values.seed);
  return {
    seeds: Array.from({ length: wholeNumber(values.seeds) }, (_, index) => first + index),
    rounds: wholeNumber(values.rounds),
    onlyRound: values.round === undefined ? null : wholeNumber(values.round),
    onlyFault: values.fault ?? null,
    parallel: wholeNumber(values.parallel),
    keepsAll: values.keep,
    figuresFile: values.figures,
  };
}

/** Writes the figures to a file after each round, so that an interrupted run still has them. */
class FiguresKeeper {
  readonly #file: string;
  readonly #figures: Figures;
  readonly #failingSeeds: readonly number[];
  readonly #startedAt = new Date();
  #writing = Promise.resolve();

  constructor(file: string, figures: Figures, failingSeeds: readonly number[]) {
    this.#file = file;
    this.#figures = figures;
    this.#failingSeeds = failingSeeds;
  }

  keepSoon(): void {
    this.#writing = this.#writing
      .then(() => this.#write())
      .catch((error: unknown) => {
        console.error("the figures could not be written:", error);
      });
  }

  async close(): Promise<void> {
    this.keepSoon();
    await this.#writing;
  }

  async #write(): Promise<void> {
    const run = { startedAt: this.#startedAt, keptAt: new Date(), failingSeeds: this.#failingSeeds };
    await mkdir(dirname(this.#file), { recursive: true });
    await writeFile(
      `${this.#file}.new`,
      `${JSON.stringify({ ...run, ...this.#figures.toJSON() }, null, 2)}\n`,
    );
    await rename(`${this.#file}.new`, this.#file);
  }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`"${text}" is not a whole number`);
  return Number(text);
}

function stopSignal(onStop: () => void): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort(new Error(`stopped by ${name}`));
      onStop();
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
