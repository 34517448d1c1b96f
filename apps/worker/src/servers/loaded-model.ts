import { defaultLane, type ServerModel } from "@genga/jobs";

/**
 * What a server has loaded, as far as this worker knows: what it ran last. A server may also run prompts of others, and
 * unload by itself; then a job loads once more than was expected.
 */
export class LoadedModel {
  #known: ServerModel;
  /** The model of the prompt that began to execute last; `null` = not known. */
  #executedModel: string | null;
  #loads = 0;

  /** @param known what the server's last owner recorded */
  constructor(known: ServerModel) {
    const { lane, loadedModel, modelSince } = known;
    this.#known = { lane, loadedModel, modelSince };
    this.#executedModel = loadedModel;
  }

  get current(): ServerModel {
    return this.#known;
  }

  /** For how many prompts the server had to load its model first. */
  get loads(): number {
    return this.#loads;
  }

  /**
   * The server got a job. A job without a model leaves what is loaded.
   * @returns whether `current` has changed
   */
  noteJob(lane: string, model: string | null, now: Date): boolean {
    const before = this.#known;
    const staysInDefault = lane === defaultLane && before.lane === defaultLane;
    const staysWithModel = lane !== defaultLane && (model === null || model === before.loadedModel);
    const modelSince = staysInDefault || staysWithModel ? before.modelSince : now;
    this.#known = { lane, loadedModel: model ?? before.loadedModel, modelSince };
    return lane !== before.lane || this.#known.loadedModel !== before.loadedModel;
  }

  /**
   * A prompt begins to execute.
   * @returns whether the server must load its model; `null` = not known
   */
  noteExecution(model: string | null): boolean | null {
    const before = this.#executedModel;
    if (model === null) return false;
    this.#executedModel = model;
    if (before === null) return null;
    if (before !== model) this.#loads += 1;
    return before !== model;
  }

  /**
   * The server has restarted, or was told to unload.
   * @returns whether `current` has changed
   */
  forget(): boolean {
    const wasKnown = this.#known.loadedModel !== null || this.#known.lane !== null;
    this.#known = { lane: null, loadedModel: null, modelSince: null };
    this.#executedModel = null;
    return wasKnown;
  }
}
