import { canRun, parseWorkflow } from "@genga/comfyui";
import { type Candidate } from "@genga/jobs";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";

/** Verdicts that are remembered; older ones are worked out again. */
const verdictsMax = 10_000;

/** Whether a graph runs on a server with certain node definitions, remembered by both content hashes. */
export class RunnableCache {
  readonly #definitions: Pick<DefinitionsStore, "find">;
  readonly #verdicts = new Map<string, boolean>();

  constructor(definitions: Pick<DefinitionsStore, "find">) {
    this.#definitions = definitions;
  }

  test(candidate: Pick<Candidate, "workflow" | "workflowHash">, definitions: HashedDefinitions): boolean {
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
    const definitions = await this.#definitions.find(hash);
    return definitions !== null && this.test(candidate, definitions);
  }
}

function forgetOldest<Value>(map: Map<string, Value>, sizeMax: number): void {
  if (map.size < sizeMax) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
