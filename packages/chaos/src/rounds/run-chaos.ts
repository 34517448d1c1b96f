import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import {
  installAudit,
  readAttempts,
  readLaneChanges,
  readMiscounts,
  readStorageKeys,
  readWrites,
  untilFilesRemoved,
} from "../observing/audit.ts";
import { openDatabase } from "@genga/database";
import { checkHistory } from "../checking/check-history.ts";
import { isReuse } from "../checking/check-life.ts";
import { ChaosClient } from "../observing/chaos-client.ts";
import { type Figures } from "../figures/figures.ts";
import {
  type BatchObservation,
  type History,
  type JobHistory,
  type LaneRequest,
  type SubmissionObservation,
  type Violation,
} from "../history/history.ts";
import { type Inflicted } from "../faults/inflict.ts";
import { findOrphans } from "../observing/observe-files.ts";
import { planRound, type RoundPlan } from "../plan/plan.ts";
import { Random } from "../plan/random.ts";
import { serverKits } from "../plan/server-kits.ts";
import { playRound } from "./round.ts";
import { type Services } from "../services/services.ts";
import { World } from "../world/world.ts";

export interface ChaosOptions {
  seed: number;
  rounds: number;
  /** Plays only this round, so that a failure can be repeated alone. */
  onlyRound?: number;
  /** The only fault of each round, by its name in the figures. */
  onlyFault?: string;
  services: Services;
  /** The folder for the plan, the logs and the history of a failing run. */
  failureFolder: string;
  /** Writes these files for every round, not only for failing ones. */
  keepsAll?: boolean;
  figures: Figures;
  /** Called after each round, when the figures have changed. */
  onRound?: () => void;
  report: (line: string) => void;
  signal?: AbortSignal;
}

/** The suite's lease and grace are short, so that rounds are short. */
const leaseMs = 1_500;
const graceMs = 3_000;

/**
 * Plays the rounds of one seed against processes of their own, and judges the history after each round. Stops after the
 * first round that breaks a promise.
 * @returns the broken promises; an empty list is a pass
 */
export async function runChaos(options: ChaosOptions): Promise<Violation[]> {
  const { seed, services, report } = options;
  const folder = await mkdtemp(join(tmpdir(), "genga-chaos-"));
  await installAudit(services.postgres.url);
  const random = new Random(seed);
  const world = await World.start({
    ...{ services, folder, leaseMs, graceMs },
    apis: 2,
    workers: random.between(2, 3),
    kits: serverKits,
  });
  const run = new Run(world, options);
  try {
    await run.untilReady();
    for (let round = 0; round < options.rounds; round += 1) {
      options.signal?.throwIfAborted();
      if (options.onlyRound !== undefined && options.onlyRound !== round) continue;
      const violations = await run.play(planRound(seed, round, options.onlyFault));
      if (violations.length > 0) return violations;
    }
    const left = await ticketsLeft(services);
    if (left.length > 0) return await run.tellTicketsLeft(left);
    const played =
      options.onlyRound === undefined ? `${options.rounds} rounds` : `round ${options.onlyRound}`;
    report(`seed ${seed}: ${played} kept every promise`);
    return [];
  } finally {
    await world.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Tickets that no job needs are dropped by the worker that takes them, sometimes after a delay. So this checks several
 * times, and returns the tickets that are left at last.
 */
async function ticketsLeft({ redis }: Services): Promise<string[]> {
  let left = await redis.liveTickets();
  for (let looks = 0; left.length > 0 && looks < 120; looks += 1) {
    await sleep(250);
    left = await redis.liveTickets();
  }
  return left;
}

const serversSchema = z.object({ servers: z.array(z.object({ state: z.string(), isKnown: z.boolean() })) });

class Run {
  readonly #world: World;
  readonly #options: ChaosOptions;
  readonly #jobs: JobHistory[] = [];
  readonly #batches: BatchObservation[] = [];
  readonly #submissions: SubmissionObservation[] = [];
  readonly #laneRequests: LaneRequest[] = [];
  readonly #faults: Inflicted[] = [];
  #rounds = 0;
  #partialFiles = 0;

  constructor(world: World, options: ChaosOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Submissions are valid only once the definitions of the servers are known. */
  async untilReady(): Promise<void> {
    const client = new ChaosClient(this.#world, 0);
    for (let tries = 0; tries < 600; tries += 1) {
      const { servers } = serversSchema.parse(JSON.parse(await client.insist("GET", "servers", 200)));
      const ready = servers.filter(({ state, isKnown }) => state === "online" && isKnown).length;
      if (ready === this.#world.simulators.length) return;
      await sleep(100);
    }
    throw new Error("The servers did not come online.");
  }

  async play(plan: RoundPlan): Promise<Violation[]> {
    const { report, seed } = this.#options;
    const beganAt = performance.now();
    const { jobs, batches, submissions, laneRequests, faults, refusals, removed } = await playRound(
      this.#world,
      plan,
      new Set(this.#jobs.map(({ id }) => id)),
      (jobId) => this.#retire(jobId),
    );
    this.#jobs.push(...jobs);
    this.#batches.push(...batches);
    this.#submissions.push(...submissions);
    this.#laneRequests.push(...laneRequests);
    this.#faults.push(...faults);
    this.#rounds += 1;
    const history = await this.#observe();
    this.#addFigures(history);
    const violations = [
      ...refusals.map((message) => ({ rule: "refusal", jobId: null, message })),
      ...checkHistory(history),
      ...(await readMiscounts(this.#options.services.postgres.url)).map((message) => ({
        ...{ rule: "counts", jobId: null, message },
      })),
    ];
    const happened = faults.filter(({ beganAt: at }) => at !== null).length;
    const seconds = ((performance.now() - beganAt) / 1_000).toFixed(1);
    const reused = jobs.filter(({ events }) => events.some(isReuse)).length;
    report(
      `seed ${seed} round ${plan.round}: ${jobs.length} jobs, ${reused} answered from others, ${removed} removed, ` +
        `${happened} of ${faults.length} faults, ${seconds} s` +
        (violations.length === 0 ? "" : `: ${violations.length} VIOLATIONS`),
    );
    const evidence = { plan, faults, violations, history };
    if (violations.length > 0 || this.#options.keepsAll === true) await this.#leaveEvidence(evidence);
    if (violations.length > 0) this.#tell(evidence);
    return violations;
  }

  /** Reports tickets that are left although every job has ended. */
  async tellTicketsLeft(left: readonly string[]): Promise<Violation[]> {
    const { seed, rounds } = this.#options;
    const message = `tickets were left though no job wants work: ${left.join(", ")}`;
    const violations = [{ rule: "tickets", jobId: null, message }];
    const plan = { seed, round: rounds - 1, steps: [] };
    const evidence = { plan, faults: this.#faults, violations, history: await this.#observe() };
    await this.#leaveEvidence(evidence);
    this.#tell(evidence);
    return violations;
  }

  /** As the process with the keeper's lease does, with whichever processes run now. */
  async #retire(jobId: string): Promise<boolean> {
    const database = openDatabase({ databaseUrl: this.#options.services.postgres.url });
    try {
      return (await database.keeping.removeEnded([jobId])).length > 0;
    } catch (error) {
      // The database is away. Whether the job was removed shows in the list of jobs.
      this.#options.report(
        `retention of ${jobId}: ${error instanceof Error ? error.message : String(error)}`,
      );
      return false;
    } finally {
      await database.close();
    }
  }

  #addFigures(history: History): void {
    const { figures, seed, onRound } = this.#options;
    figures.set(seed, {
      ...{ history, faults: this.#faults, rounds: this.#rounds, partialFiles: this.#partialFiles },
      unseenPoints: this.#world.sightings.unseen,
    });
    onRound?.();
  }

  async #observe(): Promise<History> {
    const { postgres } = this.#options.services;
    const executions = await Promise.all(this.#world.simulators.map((simulator) => simulator.executions()));
    await untilFilesRemoved(postgres.url);
    const files = await findOrphans(this.#world.outputFolder, await readStorageKeys(postgres.url));
    this.#partialFiles = files.partialFiles;
    return {
      jobs: this.#jobs,
      batches: this.#batches,
      submissions: this.#submissions,
      servers: this.#world.simulators.map(({ url, kit }) => ({ url, ...kit })),
      laneRequests: this.#laneRequests,
      laneChanges: await readLaneChanges(postgres.url),
      executions: executions.flat().sort((one, other) => one.at - other.at),
      attempts: await readAttempts(postgres.url),
      writes: await readWrites(postgres.url),
      troubles: this.#world.troubles,
      orphans: files.orphans,
      living: [...this.#world.living],
      deaths: this.#world.deaths,
      excusedFailures: this.#excusedFailures(),
      observedUntil: Date.now(),
    };
  }

  /** The failures that the faults so far may have caused in jobs that would have completed otherwise. */
  #excusedFailures(): string[] {
    const happened = this.#faults.flatMap(({ fault, beganAt }) => (beganAt === null ? [] : [fault.kind]));
    const losses = this.#world.troubles.filter(({ kind }) => kind === "memory-lost").length;
    return [
      ...(happened.includes("simulator-output-lost") ? ["output-missing", "output-empty"] : []),
      ...(happened.filter((kind) => kind === "simulator-out-of-memory").length >= 2 ? ["out-of-memory"] : []),
      ...(losses >= 3 ? ["poison"] : []),
    ];
  }

  async #leaveEvidence(evidence: Evidence): Promise<void> {
    const folder = this.#folderOf(evidence.plan);
    await mkdir(folder, { recursive: true });
    for (const [name, content] of Object.entries(evidence)) {
      await writeFile(join(folder, `${name}.json`), JSON.stringify(content, null, 1));
    }
    for (const [name, lines] of this.#world.logs()) {
      await writeFile(join(folder, `${name}.log`), `${lines.join("\n")}\n`);
    }
  }

  #folderOf(plan: RoundPlan): string {
    return join(this.#options.failureFolder, `seed-${plan.seed}-round-${plan.round}`);
  }

  #tell({ plan, faults, violations }: Evidence): void {
    const { report } = this.#options;
    for (const { rule, jobId, message } of violations.slice(0, violationsShown)) {
      report(`  ${rule}: ${jobId === null ? "" : `job ${jobId}: `}${message}`);
    }
    if (violations.length > violationsShown)
      report(`  and ${violations.length - violationsShown} more violations`);
    report(`  plan: ${JSON.stringify(plan.steps)}`);
    report(`  faults: ${JSON.stringify(faults)}`);
    report(`  plan, faults, history and logs are in ${this.#folderOf(plan)}`);
    report(`  again: npm run chaos -- --seed ${plan.seed} --rounds ${plan.round + 1}`);
  }
}

interface Evidence {
  plan: RoundPlan;
  faults: readonly Inflicted[];
  violations: readonly Violation[];
  history: History;
}

const violationsShown = 20;
