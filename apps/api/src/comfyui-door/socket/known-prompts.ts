import { type DoorClients, type DoorPrompts } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { LivePrompt } from "./live-prompt.ts";

/** Prompts of which is remembered what their clients were told. */
export const promptsMax = 10_000;

/** The jobs of one tenant that were heard of, as far as they are prompts. */
export class KnownPrompts {
  readonly #tenantId: string;
  readonly #prompts: Pick<DoorPrompts, "findByJobs">;
  readonly #clients: Pick<DoorClients, "findRunning">;
  /** `null` = the job is no prompt of this tenant. */
  readonly #byJob = new LRUCache<string, { live: LivePrompt | null }>({ max: promptsMax });

  constructor(
    tenantId: string,
    {
      prompts,
      clients,
    }: { prompts: Pick<DoorPrompts, "findByJobs">; clients: Pick<DoorClients, "findRunning"> },
  ) {
    this.#tenantId = tenantId;
    this.#prompts = prompts;
    this.#clients = clients;
  }

  /** Reads which of these jobs are prompts. @returns those that were not known */
  async learn(jobIds: readonly string[]): Promise<LivePrompt[]> {
    const unknown = [...new Set(jobIds)].filter((jobId) => !this.#byJob.has(jobId));
    if (unknown.length === 0) return [];
    const found = await this.#prompts.findByJobs(this.#tenantId, unknown);
    const byJob = new Map(
      found.map(({ isEndTold, ...prompt }) => [prompt.jobId, new LivePrompt(prompt, { isEndTold })]),
    );
    for (const jobId of unknown) this.#byJob.set(jobId, { live: byJob.get(jobId) ?? null });
    return [...byJob.values()];
  }

  /** `null` = no prompt; `undefined` = not known. */
  of(jobId: string): LivePrompt | null | undefined {
    return this.#byJob.get(jobId)?.live;
  }

  /** The client's prompt that runs, as far as was heard, or as the worker has written it down, which is a little later. */
  async runningOf(clientId: string): Promise<{ live: LivePrompt; promptId: string; node: string } | null> {
    for (const { live } of this.#byJob.values())
      if (live !== null && live.prompt.clientId === clientId && live.currentNode !== null)
        return { live, promptId: live.prompt.promptId, node: live.currentNode };
    const running = await this.#clients.findRunning(this.#tenantId, clientId);
    await this.learn(running.map(({ jobId }) => jobId));
    for (const { jobId, node: noted } of running) {
      const live = this.of(jobId);
      const node = live?.currentNode ?? noted;
      if (live !== null && live !== undefined && node !== null)
        return { live, promptId: live.prompt.promptId, node };
    }
    return null;
  }
}
