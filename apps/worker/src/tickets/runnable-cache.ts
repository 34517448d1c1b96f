import { canRun, parseWorkflow, takes } from "@genga/comfyui";
import { type Candidate } from "@genga/jobs";
import { missingLabels, type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import { LRUCache } from "lru-cache";

/** How many verdicts are remembered; the least recently used ones are forgotten first. */
const verdictsMax = 10_000;

type Asked = Pick<Candidate, "workflow" | "workflowHash" | "requires" | "mustFail">;

/**
 * Whether a job can run on a server with certain node definitions and labels. Verdicts about graphs are remembered by
 * both content hashes.
 */
export class RunnableCache {
  readonly #definitions: Pick<DefinitionsStore, "find">;
  readonly #verdicts = new LRUCache<string, boolean>({ max: verdictsMax });

  constructor(definitions: Pick<DefinitionsStore, "find">) {
    this.#definitions = definitions;
  }

  test(candidate: Asked, definitions: HashedDefinitions, labels: readonly string[]): boolean {
    if (missingLabels(candidate.requires, labels).length > 0) return false;
    const judge = candidate.mustFail === true ? takes : canRun;
    const key = `${judge.name} ${candidate.workflowHash} ${definitions.hash}`;
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = judge(parseWorkflow(candidate.workflow), definitions);
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  /** For a server of another worker: reads its definitions from the database. */
  async testByHash(candidate: Asked, hash: string, labels: readonly string[]): Promise<boolean> {
    const definitions = await this.#definitions.find(hash);
    return definitions !== null && this.test(candidate, definitions, labels);
  }
}
