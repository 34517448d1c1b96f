import { canRun, parseDefinitions, parseWorkflow, type ServerDefinitions } from "@genga/comfyui";
import { type Candidate, type ServerStore } from "@genga/jobs";

/** Definitions and verdicts that are remembered; older ones are worked out again. */
const definitionsMax = 16;
const verdictsMax = 10_000;

/** Whether a graph runs on a server with certain node definitions, remembered by both content hashes. */
export class RunnableCache {
  readonly #servers: ServerStore;
  readonly #definitions = new Map<string, ServerDefinitions | null>();
  readonly #verdicts = new Map<string, boolean>();

  constructor(servers: ServerStore) {
    this.#servers = servers;
  }

  test(
    candidate: Pick<Candidate, "workflow" | "workflowHash">,
    definitions: ServerDefinitions & { hash: string },
  ): boolean {
    const key = `${candidate.workflowHash} ${definitions.hash}`;
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = canRun(parseWorkflow(candidate.workflow), definitions);
    forgetOldest(this.#verdicts, verdictsMax);
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  /** For a server of another worker, by what the database keeps of it. */
  async testByHash(candidate: Pick<Candidate, "workflow" | "workflowHash">, hash: string): Promise<boolean> {
    let definitions = this.#definitions.get(hash);
    if (definitions === undefined) {
      const stored = await this.#servers.findDefinitions(hash);
      definitions = stored === null ? null : parseDefinitions(stored);
      forgetOldest(this.#definitions, definitionsMax);
      this.#definitions.set(hash, definitions);
    }
    return definitions !== null && this.test(candidate, { hash, ...definitions });
  }
}

function forgetOldest<Value>(map: Map<string, Value>, sizeMax: number): void {
  if (map.size < sizeMax) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
