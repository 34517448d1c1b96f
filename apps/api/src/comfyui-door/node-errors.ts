import { isObject, linkOf, liveInputsOf, specOf, type InputSpec } from "@genga/comfyui";
import { type JobProblem } from "@genga/jobs";
import { exceptionOf, isException } from "./node-exceptions.ts";
import { conversionError, reprOf, textOf } from "./python-words.ts";
import { type RefusedGraph } from "./refused-graph.ts";
import { classOf, isNode } from "./read-prompt.ts";
import {
  PromptRefusedError,
  serverError,
  type NodeErrors,
  type ServerError,
  type ServerRefusal,
} from "./server-refusal.ts";

/** Tells the problems of a graph as a server would (PROTOCOL 2, PROTOCOL-0.28 1). */
export function refusalOfGraph(problems: readonly JobProblem[], refused: RefusedGraph): PromptRefusedError {
  const [first] = problems;
  const missing = problems.find(({ code }) => code === "unknown-node-class" || code === "missing-class-type");
  if (missing !== undefined) return new PromptRefusedError(missingClass(missing, refused));
  if (first?.code === "prompt-no-outputs")
    return new PromptRefusedError(serverError("prompt_no_outputs", "Prompt has no outputs"));
  const cycle = problems.find(({ code }) => code === "dependency-cycle");
  if (cycle !== undefined) return cycleRefusal(cycle, refused);
  const ofNodes = problems.filter(
    ({ nodeId }) => nodeId !== undefined && classOf(refused.graph[nodeId]) !== undefined,
  );
  if (ofNodes.length === 0) {
    const type = first === undefined ? "invalid_prompt" : serverTypeOf(first.code);
    const message = problems.map(({ message: text }) => text).join(" ");
    return new PromptRefusedError(serverError(type, message, { details: first?.path ?? "" }));
  }
  const nodeErrors = nodeErrorsOf(ofNodes, refused);
  const ofOutputs = refused.outputNodes.flatMap((id) => nodeErrors[id]?.errors ?? []);
  const details = ofOutputs.map((error) => `${error.message}: ${error.details}`).join("\n");
  return new PromptRefusedError(validationFailed(details), nodeErrors);
}

function validationFailed(details = ""): ServerError {
  return serverError("prompt_outputs_failed_validation", "Prompt outputs failed validation", { details });
}

function nodeErrorsOf(problems: readonly JobProblem[], refused: RefusedGraph): ServerRefusal["node_errors"] {
  const errorsOf = new Map<string, ServerError[]>();
  for (const problem of problems) {
    const { nodeId = "" } = problem;
    const exception = exceptionOf(problem, refused);
    const known = errorsOf.get(nodeId) ?? [];
    // A server stops judging the node there.
    if (exception !== undefined) errorsOf.set(nodeId, [exception]);
    else if (!known.some(isException)) errorsOf.set(nodeId, [...known, errorOf(problem, refused)]);
  }
  return toldOfNodes(errorsOf, refused);
}

/** Errors by node, in the form of a server. Nodes may have any name, also one that every object has, such as `constructor`. */
export function toldOfNodes(
  errorsOf: ReadonlyMap<string, ServerError[]>,
  { graph, outputNodes }: RefusedGraph,
): ServerRefusal["node_errors"] {
  const consumers = consumersIn(graph);
  let characters = 0;
  return Object.fromEntries(
    [...errorsOf].map(([nodeId, errors]): [string, NodeErrors] => {
      const affected = affectedBy(nodeId, consumers);
      const dependent = outputNodes.filter((id) => {
        if (!affected.has(id) || characters > dependentCharactersMax) return false;
        characters += id.length;
        return true;
      });
      return [nodeId, { errors, dependent_outputs: dependent, class_type: classOf(graph[nodeId]) ?? "" }];
    }),
  );
}

/** Of the names of outputs that errors affect: an output may stand at each node with an error. */
const dependentCharactersMax = 1_000_000;

/** By node the nodes that take its results. */
function consumersIn(graph: Record<string, unknown>): Map<string, string[]> {
  const consumers = new Map<string, string[]>();
  for (const [id, node] of Object.entries(graph)) {
    if (!isNode(node)) continue;
    for (const value of Object.values(node.inputs)) {
      const link = linkOf(value);
      if (link === undefined) continue;
      const known = consumers.get(link.nodeId);
      if (known === undefined) consumers.set(link.nodeId, [id]);
      else known.push(id);
    }
  }
  return consumers;
}

/** This node, and all nodes that need what it makes. */
function affectedBy(nodeId: string, consumers: ReadonlyMap<string, readonly string[]>): Set<string> {
  // A set goes on with what is added to it meanwhile.
  const affected = new Set([nodeId]);
  for (const id of affected) for (const consumer of consumers.get(id) ?? []) affected.add(consumer);
  return affected;
}

function missingClass({ nodeId = "" }: JobProblem, { graph, isNewer }: RefusedGraph): ServerError {
  const node = graph[nodeId];
  const given = isObject(node) ? node["class_type"] : undefined;
  const details = `Node ID '#${nodeId}'`;
  const classType = typeof given === "string" ? given : null;
  if (!isNewer) {
    const message =
      classType === null
        ? "Cannot execute because a node is missing the class_type property."
        : `Cannot execute because node ${classType} does not exist.`;
    return serverError("invalid_prompt", message, { details });
  }
  const meta = isObject(node) ? node["_meta"] : undefined;
  const said = isObject(meta) ? meta["title"] : undefined;
  const title = typeof said === "string" ? said : classType;
  const isNull = isObject(node) && node["class_type"] === null;
  const message =
    classType === null && !isNull
      ? `Node '${title ?? `ID #${nodeId}`}' has no class_type. The workflow may be corrupted or a custom node is missing.`
      : `Node '${title ?? "None"}' not found. The custom node may not be installed.`;
  const info = { node_id: nodeId, class_type: classType, node_title: title };
  return serverError("missing_node_type", message, { details, extra_info: info });
}

function cycleRefusal({ nodeId = "" }: JobProblem, refused: RefusedGraph): PromptRefusedError {
  if (!refused.isNewer) return new PromptRefusedError(validationFailed());
  const whole = ringOf(firstOfRing(nodeId, refused), refused.graph);
  // Each error names all of them, so what is told grows with the square of their number.
  const ring = whole.slice(0, ringShownMax);
  const named = [...ring, whole[0] ?? nodeId].map((id) => {
    const node = refused.graph[id];
    return `${shown(id)} (${isNode(node) ? shown(node.class_type) : ""})`;
  });
  if (whole.length > ring.length) named.splice(-1, 0, "...");
  const details = named.join(" -> ");
  const errorsOf = new Map(
    ring.map((id) => {
      const info = { node_id: id, cycle_nodes: ring.map(shown) };
      const error = serverError("dependency_cycle", "Dependency cycle detected", {
        details,
        extra_info: info,
      });
      return [id, [error]];
    }),
  );
  return new PromptRefusedError(validationFailed(), toldOfNodes(errorsOf, refused));
}

/** Nodes of a longer ring are left out of the refusal. */
const ringShownMax = 100;

/** A name that stands in many places: names in a graph may be megabytes long. */
function shown(name: string): string {
  return name.slice(0, 200);
}

/** The node of the ring through this one that a server comes to first, from the outputs. */
function firstOfRing(nodeId: string, { graph, outputNodes }: RefusedGraph): string {
  const ring = new Set(ringOf(nodeId, graph));
  const [seen, waiting] = [new Set<string>(), [...outputNodes].reverse()];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (ring.has(id)) return id;
    const node = graph[id];
    if (seen.has(id) || !isNode(node)) continue;
    seen.add(id);
    for (const value of Object.values(node.inputs).reverse()) {
      const next = linkOf(value)?.nodeId;
      if (next !== undefined) waiting.push(next);
    }
  }
  return nodeId;
}

/** The nodes of a ring through this node, each followed by the one whose result it takes. */
function ringOf(start: string, graph: Record<string, unknown>): string[] {
  const from = new Map<string, string>();
  const waiting = [start];
  for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
    const node = graph[id];
    if (!isNode(node)) continue;
    for (const value of Object.values(node.inputs)) {
      const next = linkOf(value)?.nodeId;
      if (next === undefined || (from.has(next) && next !== start)) continue;
      if (next === start) {
        const ring = [id];
        for (let at = from.get(id); at !== undefined && id !== start; at = from.get(at)) ring.unshift(at);
        return ring;
      }
      from.set(next, id);
      waiting.push(next);
    }
  }
  return [start];
}

/** Codes of the judge that a server has other words for. */
const serverTypes: Readonly<Record<string, string>> = {
  "unknown-model": "value_not_in_list",
  "unknown-value": "value_not_in_list",
  "unknown-upload": "custom_validation_failed",
  "forbidden-file": "custom_validation_failed",
  "wrong-kind-of-file": "custom_validation_failed",
};

function serverTypeOf(code: string): string {
  return serverTypes[code] ?? code.replaceAll("-", "_");
}

/** A list with more choices is not shown. */
const shownChoicesMax = 20;

function errorOf(problem: JobProblem, { graph, definitionOf, isNewer }: RefusedGraph): ServerError {
  const { nodeId = "", input, message } = problem;
  const type = serverTypeOf(problem.code);
  const node = graph[nodeId];
  if (input === undefined || !isNode(node)) return serverError(type, message);
  const definition = definitionOf(node.class_type);
  const spec =
    definition === undefined ? undefined : specOf({ input: liveInputsOf(definition, node.inputs) }, input);
  const value = node.inputs[input];
  const config = spec === undefined ? undefined : [spec[0], spec[1] ?? {}];
  const info = { input_name: input, input_config: config, received_value: value };
  const bounds = (name: "min" | "max"): string => reprOf(spec?.[1]?.[name]);
  switch (type) {
    case "required_input_missing":
      return serverError(type, "Required input is missing", {
        details: input.slice(input.lastIndexOf(".") + 1),
        extra_info: { input_name: input },
      });
    case "value_smaller_than_min":
      return serverError(type, `Value ${reprOf(value)} smaller than min of ${bounds("min")}`, {
        details: input,
        extra_info: info,
      });
    case "value_bigger_than_max":
      return serverError(type, `Value ${reprOf(value)} bigger than max of ${bounds("max")}`, {
        details: input,
        extra_info: info,
      });
    case "value_not_in_list":
      return notInList(
        { type, input, shown: isNewer ? reprOf(strangerIn(value, spec)) : `'${textOf(value)}'` },
        spec,
        info,
      );
    case "bad_linked_input":
      return serverError(type, "Bad linked input, must be a length-2 list of [node_id, slot_index]", {
        details: input,
        extra_info: info,
      });
    case "invalid_input_type": {
      const kind = String(spec?.[0] ?? "");
      const said = conversionError(value, kind) ?? message;
      return serverError(type, `Failed to convert an input value to a ${kind} value`, {
        details: `${input}, ${textOf(value)}, ${said}`,
        extra_info: { ...info, exception_message: said },
      });
    }
    case "return_type_mismatch":
      return serverError(type, "Return type mismatch between linked nodes", {
        details: `${input}, received_type(${String(problem.received)}) mismatch input_type(${textOf(spec?.[0] ?? "")})`,
        extra_info: {
          input_name: input,
          input_config: config,
          received_type: problem.received,
          linked_node: value,
        },
      });
    case "custom_validation_failed":
      return serverError(type, "Custom validation failed for node", {
        details: `${input} - ${message}`,
        extra_info: { input_name: input },
      });
    default:
      return serverError(type, message, { details: input, extra_info: info });
  }
}

/** Of a list of choices the one that is not allowed. */
function strangerIn(value: unknown, spec: InputSpec | undefined): unknown {
  const choices = new Set(choicesIn(spec?.[0], spec?.[1]));
  const stranger = Array.isArray(value) ? (value as unknown[]).find((each) => !choices.has(each)) : undefined;
  return stranger === undefined ? value : stranger;
}

function choicesIn(slot: unknown, options: Readonly<Record<string, unknown>> | undefined): unknown[] {
  const listed = Array.isArray(slot) ? (slot as unknown[]) : options?.["options"];
  return Array.isArray(listed) ? (listed as unknown[]) : [];
}

function notInList(
  { type, input, shown }: { type: string; input: string; shown: string },
  spec: InputSpec | undefined,
  info: Record<string, unknown>,
): ServerError {
  const [slot, options] = spec ?? [];
  const choices = choicesIn(slot, options);
  const isLong = choices.length > shownChoicesMax;
  const list = isLong ? `(list of length ${choices.length})` : `[${choices.map(reprOf).join(", ")}]`;
  return serverError(type, "Value not in list", {
    details: `${input}: ${shown} not in ${list}`,
    extra_info: isLong ? { ...info, input_config: null } : info,
  });
}
