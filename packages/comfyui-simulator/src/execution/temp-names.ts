import { randomInt } from "node:crypto";
import { isDict, type PythonDict } from "../python/python-values.ts";

const alphabet = "abcdefghijklmnopqrstupvxyz";

/** The five letters in the names of temp files: made once per node, kept while prompts contain that node. */
export class TempNames {
  readonly #letters = new Map<string, string>();

  lettersOf(nodeId: string, className: string): string {
    const key = `${nodeId}\n${className}`;
    const known = this.#letters.get(key);
    if (known !== undefined) return known;
    const made = Array.from({ length: 5 }, () => alphabet.charAt(randomInt(alphabet.length))).join("");
    this.#letters.set(key, made);
    return made;
  }

  keepOnly(graph: PythonDict): void {
    for (const key of this.#letters.keys()) {
      const [nodeId = "", className] = key.split("\n");
      const node = graph.get(nodeId) ?? null;
      if (!isDict(node) || node.get("class_type") !== className) this.#letters.delete(key);
    }
  }

  clear(): void {
    this.#letters.clear();
  }
}
