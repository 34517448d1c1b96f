import { type Workflow } from "@genga/comfyui";
import {
  readEditorWorkflow,
  subgraphInputId,
  subgraphOutputId,
  type EditorGraph,
  type EditorLink,
  type EditorNode,
  type EditorWorkflow,
  type Subgraph,
} from "./editor-workflow.ts";
import { valuesOfWidgets } from "./widget-values.ts";

/**
 * A graph in API format, or the reason why the file cannot be converted; if a single missing class is the reason, its
 * name.
 */
export type Conversion = { graph: Workflow } | { reason: string; missingClass?: string };

/** Node types that only the editor knows. */
const notes = new Set(["Note", "MarkdownNote"]);
const [muted, bypassed] = [2, 4];
/**
 * The largest depth of nested subgraphs, and the most links followed in a row. No real file reaches it unless it leads
 * in a circle.
 */
const depthMax = 100;

/**
 * Turns a file of the editor into a graph in API format, as the editor's own Export (API) does: subgraphs give their
 * nodes the ids `outer:inner`; muted nodes, notes, reroutes and primitives are gone; a bypassed node hands on the input
 * that fits.
 * @param objectInfo the server's answer to `/object_info`, unchanged: it shows the order of widgets
 */
export function toApiGraph(file: unknown, objectInfo: Readonly<Record<string, unknown>>): Conversion {
  const workflow = readEditorWorkflow(file);
  if (workflow === undefined) return { reason: "it is not a file of the editor" };
  try {
    const graph = new Converter(workflow, objectInfo).convert();
    return Object.keys(graph).length === 0 ? { reason: "it has no node that a server runs" } : { graph };
  } catch (error) {
    if (error instanceof NotConvertible) return error.conversion;
    throw error;
  }
}

class NotConvertible extends Error {
  readonly conversion: { reason: string; missingClass?: string };

  constructor(reason: string, missingClass?: string) {
    super(reason);
    this.conversion = { reason, ...(missingClass === undefined ? {} : { missingClass }) };
  }
}

/** One level of the graph: the top, or the inside of one use of a subgraph. */
interface Level {
  graph: EditorGraph;
  /** The prefix of the ids of its nodes. */
  prefix: string;
  depth: number;
  use?: { level: Level; node: EditorNode; subgraph: Subgraph };
}

/** The source of an input's value; `undefined` if it has none. */
type Source = { link: [nodeId: string, slot: number] } | { value: unknown } | undefined;

class Converter {
  readonly #workflow: EditorWorkflow;
  readonly #objectInfo: Readonly<Record<string, unknown>>;
  readonly #graph: Workflow = {};

  constructor(workflow: EditorWorkflow, objectInfo: Readonly<Record<string, unknown>>) {
    this.#workflow = workflow;
    this.#objectInfo = objectInfo;
  }

  convert(): Workflow {
    this.#addLevel({ graph: this.#workflow, prefix: "", depth: 0 });
    return this.#graph;
  }

  #addLevel(level: Level): void {
    if (level.depth > depthMax) throw new NotConvertible("its subgraphs contain each other");
    for (const node of level.graph.nodes.values()) {
      if (node.mode === muted || node.mode === bypassed || isVirtual(node)) continue;
      const subgraph = this.#workflow.subgraphs.get(node.type);
      if (subgraph === undefined) this.#addNode(level, node);
      else this.#addLevel(insideOf(level, node, subgraph));
    }
  }

  #addNode(level: Level, node: EditorNode): void {
    if (!Object.hasOwn(this.#objectInfo, node.type)) {
      const isSubgraph = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(node.type);
      throw isSubgraph
        ? new NotConvertible("it lacks a subgraph")
        : new NotConvertible("the server lacks one of its classes", node.type);
    }
    const values = valuesOfWidgets(node, this.#objectInfo[node.type]);
    const inputs = new Map([...values].map(([name, value]) => [name, wrapped(value)]));
    for (const { name, link } of node.inputs) {
      if (link === undefined || link === null) continue;
      const source = this.#follow(level, link);
      if (source === undefined) continue;
      inputs.set(name, "link" in source ? source.link : wrapped(source.value));
    }
    this.#graph[`${level.prefix}${node.id}`] = {
      class_type: node.type,
      inputs: Object.fromEntries(inputs),
      _meta: { title: node.title ?? node.type },
    };
  }

  /** Follows a link to its source, through nodes that only the editor knows. */
  #follow(level: Level, linkId: string, steps = 0): Source {
    if (steps > depthMax) throw new NotConvertible("its links lead in a circle");
    const link = level.graph.links.get(linkId);
    if (link === undefined) return undefined;
    if (link.fromNode === subgraphInputId) return this.#fromOutside(level, link, steps + 1);
    const node = level.graph.nodes.get(link.fromNode);
    return node === undefined ? undefined : this.#outputOf(level, node, link, steps + 1);
  }

  /**
   * Follows an input of a subgraph to the place that uses the subgraph: to a link there, or to the value of a widget
   * that is shown there.
   */
  #fromOutside({ use }: Level, { fromSlot }: EditorLink, steps: number): Source {
    const name = use?.subgraph.inputs[fromSlot]?.name;
    if (use === undefined || name === undefined) return undefined;
    const { link } = use.node.inputs.find((input) => input.name === name) ?? {};
    if (link !== undefined && link !== null) return this.#follow(use.level, link, steps);
    return this.#shownValue(use, name);
  }

  #shownValue({ node, subgraph }: NonNullable<Level["use"]>, name: string): Source {
    const { widgets_values: values, widgets_values_named: named } = node;
    const byName = named ?? (Array.isArray(values) ? undefined : values);
    if (byName !== undefined && byName !== null) {
      return Object.hasOwn(byName, name) ? { value: byName[name] } : undefined;
    }
    // A list holds the values of the inputs that lead to widgets, in the order of the subgraph's inputs.
    const shown = subgraph.inputs.filter((_input, slot) => leadsToWidget(this.#workflow, subgraph, slot));
    const place = shown.findIndex((input) => input.name === name);
    return place >= 0 && Array.isArray(values) && place < values.length
      ? { value: values[place] }
      : undefined;
  }

  #outputOf(level: Level, node: EditorNode, link: EditorLink, steps: number): Source {
    if (node.mode === muted || notes.has(node.type)) return undefined;
    if (node.mode === bypassed) {
      const input = handedOn(node, link);
      return input?.link === undefined || input.link === null
        ? undefined
        : this.#follow(level, input.link, steps);
    }
    if (node.type === "Reroute") {
      const [input] = node.inputs;
      return input?.link === undefined || input.link === null
        ? undefined
        : this.#follow(level, input.link, steps);
    }
    if (node.type === "PrimitiveNode") {
      const { widgets_values: values } = node;
      return Array.isArray(values) && values.length > 0 ? { value: values[0] } : undefined;
    }
    const subgraph = this.#workflow.subgraphs.get(node.type);
    if (subgraph === undefined) return { link: [`${level.prefix}${node.id}`, link.fromSlot] };
    const inner = [...subgraph.links.values()].find(
      ({ toNode, toSlot }) => toNode === subgraphOutputId && toSlot === link.fromSlot,
    );
    return inner === undefined ? undefined : this.#follow(insideOf(level, node, subgraph), inner.id, steps);
  }
}

function insideOf(level: Level, node: EditorNode, subgraph: Subgraph): Level {
  return {
    graph: subgraph,
    prefix: `${level.prefix}${node.id}:`,
    depth: level.depth + 1,
    use: { level, node, subgraph },
  };
}

function isVirtual({ type }: EditorNode): boolean {
  return notes.has(type) || type === "Reroute" || type === "PrimitiveNode";
}

/** Whether a subgraph's input leads to an input with a widget, perhaps through further subgraphs. */
function leadsToWidget({ subgraphs }: EditorWorkflow, subgraph: Subgraph, slot: number, depth = 0): boolean {
  if (depth > depthMax) return false;
  return [...subgraph.links.values()].some((link) => {
    if (link.fromNode !== subgraphInputId || link.fromSlot !== slot) return false;
    const target = subgraph.nodes.get(link.toNode);
    const input = target?.inputs.find((each) => each.link === link.id) ?? target?.inputs[link.toSlot];
    if (input?.widget !== undefined && input.widget !== null) return true;
    const inner = target === undefined ? undefined : subgraphs.get(target.type);
    const place = inner?.inputs.findIndex(({ name }) => name === input?.name) ?? -1;
    return (
      inner !== undefined &&
      place >= 0 &&
      leadsToWidget({ subgraphs } as EditorWorkflow, inner, place, depth + 1)
    );
  });
}

/** The input that a bypassed node hands on: the one at the same place if its type fits, else the first that fits. */
function handedOn(
  node: EditorNode,
  { fromSlot, type }: EditorLink,
): EditorNode["inputs"][number] | undefined {
  const wanted = node.outputs[fromSlot]?.type ?? type;
  const sameSlot = node.inputs[fromSlot];
  if (wanted === "*" || wanted === "" || wanted === 0) return sameSlot ?? node.inputs[0];
  if (sameSlot?.type === wanted) return sameSlot;
  return (
    node.inputs.find((input) => input.type === wanted) ?? node.inputs.find((input) => input.type === "*")
  );
}

/** Wraps a list, because a server treats every bare list as a link. */
function wrapped(value: unknown): unknown {
  return Array.isArray(value) ? { __value__: value } : value;
}
