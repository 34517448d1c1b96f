import { type ObjectInfo, objectInfoSchema, validateGraph } from "@genga/comfyui";
import { type Candidate, type ServerStore } from "@genga/jobs";

/** Definitions and verdicts that are remembered; older ones are worked out again. */
const definitionsMax = 16;
const verdictsMax = 10_000;

/** Whether a graph runs on a server with certain node definitions, remembered by both content hashes. */
export class RunnableCache {
  readonly #servers: ServerStore;
  readonly #definitions = new Map<string, ObjectInfo | null>();
  readonly #verdicts = new Map<string, boolean>();

  constructor(servers: ServerStore) {
    this.#servers = servers;
  }

  test(
    candidate: Pick<Candidate, "workflow" | "workflowHash">,
    definitions: { hash: string; objectInfo: ObjectInfo },
  ): boolean {
    const key = `${candidate.workflowHash} ${definitions.hash}`;
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = validateGraph(candidate.workflow, definitions.objectInfo).errors.length === 0;
    forgetOldest(this.#verdicts, verdictsMax);
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  /** For a server of another worker, by what the database keeps of it. */
  async testByHash(candidate: Pick<Candidate, "workflow" | "workflowHash">, hash: string): Promise<boolean> {
    let objectInfo = this.#definitions.get(hash);
    if (objectInfo === undefined) {
      const raw = await this.#servers.findDefinitions(hash);
      objectInfo = raw === null ? null : objectInfoSchema.parse(raw);
      forgetOldest(this.#definitions, definitionsMax);
      this.#definitions.set(hash, objectInfo);
    }
    return objectInfo !== null && this.test(candidate, { hash, objectInfo });
  }
}

function forgetOldest<Value>(map: Map<string, Value>, sizeMax: number): void {
  if (map.size < sizeMax) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
