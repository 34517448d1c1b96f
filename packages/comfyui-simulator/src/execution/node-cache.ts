import { createHash } from "node:crypto";
import { stringifyPythonJson, type PythonJson } from "../python/python-json.ts";
import { isDict, PythonError, pythonText, type PythonDict } from "../python/python-values.ts";
import type { NodeValue } from "../nodes/node-values.ts";
import { linkOf } from "./execution-order.ts";

/** What a node showed: its UI output, and the ids it had when it ran (PROTOCOL 5, `meta`). */
export interface NodeUi {
  readonly output: PythonJson;
  readonly meta: PythonJson;
}

interface CachedNode {
  readonly outputs: readonly NodeValue[];
  readonly ui: NodeUi | undefined;
}

/**
 * Results of the nodes of the last prompt, found by what went into them and not by node id (PROTOCOL 6). Two nodes of
 * one prompt with the same inputs share a result.
 */
export class NodeCache {
  private readonly results = new Map<string, CachedNode>();
  private keys = new Map<string, string>();
  private unmatched = 0;
  private readonly keptMin: number;

  /** @param keptMin results to keep although the next prompt does not need them; 0 is the server's default */
  constructor(keptMin: number) {
    this.keptMin = keptMin;
  }

  /**
   * Takes up a prompt and drops every result that it has no node for.
   * @param fingerprintOf what besides its inputs a node depends on, such as the content of a file
   * @throws PythonError for a node without inputs: the server's executor dies of that (PROTOCOL 10)
   */
  enter(graph: PythonDict, fingerprintOf: (nodeId: string) => string): void {
    const keys = new Map<string, string>();
    const resolving = new Set<string>();
    const keyOf = (nodeId: string): string => {
      const known = keys.get(nodeId);
      if (known !== undefined) return known;
      const node = graph.get(nodeId);
      // A link to nothing, or a cycle, never equals anything.
      if (!isDict(node ?? null) || resolving.has(nodeId)) return `unmatched ${this.unmatched++}`;
      resolving.add(nodeId);
      const key = hash(signature(node as PythonDict, fingerprintOf(nodeId), keyOf));
      resolving.delete(nodeId);
      keys.set(nodeId, key);
      return key;
    };
    for (const nodeId of graph.keys()) keyOf(nodeId);
    this.keys = keys;
    const wanted = new Set(keys.values());
    for (const key of this.results.keys()) {
      if (this.results.size <= this.keptMin) break;
      if (!wanted.has(key)) this.results.delete(key);
    }
  }

  get(nodeId: string): CachedNode | undefined {
    return this.results.get(this.keys.get(nodeId) ?? "");
  }

  set(nodeId: string, outputs: readonly NodeValue[], ui: NodeUi | undefined): void {
    const key = this.keys.get(nodeId);
    if (key !== undefined) this.results.set(key, { outputs, ui });
  }

  nodeIds(): string[] {
    return [...this.keys.keys()];
  }

  clear(): void {
    this.results.clear();
    this.keys.clear();
  }
}

function signature(node: PythonDict, fingerprint: string, keyOf: (nodeId: string) => string): string {
  const inputs = node.get("inputs");
  if (inputs === undefined) throw new PythonError("KeyError", "'inputs'");
  if (!isDict(inputs)) throw new PythonError("AttributeError", "object has no attribute 'keys'");
  const parts = [pythonText(node.get("class_type") ?? null), fingerprint];
  for (const name of [...inputs.keys()].sort()) {
    const value = inputs.get(name) ?? null;
    const link = linkOf(value);
    parts.push(
      link ? `${name}<-${keyOf(link.source)}#${link.slot}` : `${name}=${stringifyPythonJson(value)}`,
    );
  }
  return parts.join("\n");
}

function hash(text: string): string {
  return createHash("sha1").update(text).digest("base64");
}
