import { canRun, mainModelOf, needsOf, parseWorkflow } from "@genga/comfyui";
import {
  defaultLane,
  type Signals,
  StoreUnavailableError,
  type TakeBacks,
  takeBacksFor,
  type WaitingPrompt,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { missingLabels } from "@genga/workflows";
import { type OwnedServer } from "../servers/owned-server.ts";

export interface TakeBackAskerOptions {
  takeBacks: Pick<TakeBacks, "ask" | "listWaiting" | "readGraph">;
  eligibility: {
    /** Reads the needs of these lanes. */
    learn: (lanes: readonly string[]) => Promise<void>;
    mayServe: (server: OwnedServer, lane: string) => boolean;
  };
  signals: Pick<Signals, "publish">;
  /** `false` = no other server has a job, as far as this worker knows. */
  mayOthersBeBusy: () => boolean;
  log: Logger;
}

/** Of the whole farm, those that wait longest. */
const promptsMax = 500;
/** How many prompts are tried for one server in one pass. */
const triesMax = 3;
/** A request that was not met after this time was in vain, so the server may ask for another prompt. */
const askedForMs = 2_000;
/** How often waiting prompts are listed: at most; at least, while a server stands empty; and at least while there are some. */
const pauseMinMs = 250;
const pauseMaxMs = 10_000;
const pauseWhileSomeWaitMs = 1_000;
/** What a take-back costs, as long as none was measured. */
const unmeasuredCostMs = 250;
/** The weight of one new measurement; the earlier mean has the rest. */
const newWeight = 0.2;
const rememberedMax = 1_000;

/**
 * Asks for prompts that wait on busy servers, for the servers of this worker that stand empty and for which there is no
 * ticket. Each server asks for one prompt at a time.
 */
export class TakeBackAsker {
  readonly #options: TakeBackAskerOptions;
  /** The servers that stood empty in the last pass, and when each asked last. */
  #empty = new Map<string, number>();
  /** When each job was asked for. */
  readonly #askedAt = new Map<string, number>();
  #costMs = unmeasuredCostMs;
  #pauseMs = pauseMinMs;
  #listedAt = Number.NEGATIVE_INFINITY;

  constructor(options: TakeBackAskerOptions) {
    this.#options = options;
  }

  /**
   * To be called when no ticket is left for these servers.
   * @param ready this worker's servers that take work @throws StoreUnavailableError
   */
  async ask(ready: readonly OwnedServer[]): Promise<void> {
    const empty = ready.filter((server) => server.jobsHeld === 0 && server.reason === null);
    if (empty.some(({ id }) => !this.#empty.has(id))) this.#pauseMs = pauseMinMs;
    this.#empty = new Map(empty.map(({ id }) => [id, this.#empty.get(id) ?? Number.NEGATIVE_INFINITY]));
    const now = performance.now();
    const asking = empty.filter(({ id }) => now - (this.#empty.get(id) ?? 0) >= askedForMs);
    if (asking.length === 0 || !this.#options.mayOthersBeBusy() || now - this.#listedAt < this.#pauseMs)
      return;
    this.#listedAt = now;
    const found = await this.#askFor(asking);
    const longestMs = { none: pauseMaxMs, some: pauseWhileSomeWaitMs, asked: pauseMinMs }[found];
    // Twice as long each time, and not at the same moment as other workers.
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestMs) * (0.9 + 0.2 * Math.random());
  }

  /** The prompt of this job was taken back and claimed here. */
  noteClaimed(jobId: string): void {
    const askedAt = this.#askedAt.get(jobId);
    if (askedAt === undefined) return;
    this.#askedAt.delete(jobId);
    this.#costMs += newWeight * (performance.now() - askedAt - this.#costMs);
  }

  /** @returns whether prompts wait on busy servers, and whether one was asked for */
  async #askFor(servers: readonly OwnedServer[]): Promise<"none" | "some" | "asked"> {
    const { takeBacks, eligibility } = this.#options;
    const prompts = new Set(await takeBacks.listWaiting(promptsMax));
    if (prompts.size === 0) return "none";
    await eligibility.learn([...new Set([...prompts].map(({ lane }) => lane))]);
    let hasAsked = false;
    for (const server of servers) {
      const able = [...prompts].filter(({ lane }) => eligibility.mayServe(server, lane));
      const { id, model } = server;
      const best = takeBacksFor({ id, loadedModel: model.loadedModel }, able, this.#costMs);
      const prompt = await this.#askForOneOf(best.slice(0, triesMax), server);
      if (prompt === null) continue;
      prompts.delete(prompt);
      hasAsked = true;
    }
    return hasAsked ? "asked" : "some";
  }

  async #askForOneOf(prompts: readonly WaitingPrompt[], server: OwnedServer): Promise<WaitingPrompt | null> {
    const { takeBacks, signals, log } = this.#options;
    for (const prompt of prompts) {
      if (!(await this.#canRun(prompt, server))) continue;
      const askedAt = performance.now();
      if (!(await takeBacks.ask(prompt, server.id))) continue;
      const { jobId, attempt } = prompt;
      this.#empty.set(server.id, askedAt);
      if (this.#askedAt.size >= rememberedMax) this.#askedAt.clear();
      this.#askedAt.set(jobId, askedAt);
      signals.publish("take-back-asked", { jobIds: [jobId] });
      log.debug({ jobId, attempt, server: server.url }, "a waiting prompt was asked for");
      return prompt;
    }
    return null;
  }

  /** By the whole graph; and a job of the lane `default` only if nothing must be loaded for it. */
  async #canRun({ jobId, lane, requires }: WaitingPrompt, server: OwnedServer): Promise<boolean> {
    const { definitions, labels, model } = server;
    if (definitions === null || missingLabels(requires, labels).length > 0) return false;
    const graph = await this.#options.takeBacks.readGraph(jobId);
    if (graph === null) return false;
    try {
      const workflow = parseWorkflow(graph.workflow);
      const mainModel = mainModelOf(needsOf(workflow).models);
      const wouldLoad = mainModel !== null && mainModel !== model.loadedModel;
      return !(lane === defaultLane && wouldLoad) && canRun(workflow, definitions);
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw error;
      this.#options.log.error({ err: error, jobId }, "a waiting prompt could not be judged");
      return false;
    }
  }
}
