import { type GraphProblem } from "@genga/comfyui";
import { type JobProblem, type JobType, type Json } from "@genga/jobs";
import { type BuiltGraph } from "../building/graph-builder.ts";
import { shorten } from "../parameters/parameter-problems.ts";

const modelFile = /\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$/i;

/** A problem in a graph that the client wrote, reported by node and input. */
export function problemOfRawGraph(problem: GraphProblem): JobProblem {
  const { nodeId, nodeTitle, input } = problem;
  const place = nodeId === undefined ? "workflow" : `workflow.${nodeId}`;
  return {
    path: (input === undefined ? place : `${place}.inputs.${input}`).slice(0, 300),
    code: codeOf(problem),
    message: problem.message,
    ...(nodeId === undefined ? {} : { nodeId: nodeId.slice(0, 200) }),
    ...(nodeTitle === undefined ? {} : { nodeTitle: nodeTitle.slice(0, 200) }),
    ...(input === undefined ? {} : { input: input.slice(0, 200) }),
    ...valuesOf(problem),
  };
}

/** A generated graph and the parameters from which it was made. */
export interface GeneratedGraph {
  graph: BuiltGraph;
  type: JobType;
  /** The parameters as the client sent them. */
  given: unknown;
  /** The same parameters with defaults filled in. */
  parameters: Json;
}

/**
 * A problem in a graph that Genga generated, reported by the parameter that the client sent or could have sent, if
 * there is one.
 */
export function problemOfGeneratedGraph(
  problem: GraphProblem,
  { graph, type, given, parameters }: GeneratedGraph,
): JobProblem {
  const { nodeId, input, classType } = problem;
  if (problem.code === "missing_node_type") {
    const message = `No known server has the node ${classType ?? ""}, which ${type} jobs need.`;
    const path = (nodeId === undefined ? undefined : graph.parameterOf(nodeId, "class_type")) ?? "type";
    return { path, code: codeOf(problem), message, received: classType ?? type };
  }
  const parameter =
    nodeId === undefined || input === undefined ? undefined : graph.parameterOf(nodeId, input);
  if (parameter === undefined) {
    return { path: "type", code: "unsupported", message: problem.message, ...valuesOf(problem) };
  }
  const { received, ...accepted } = valuesOf(problem);
  const path = parameter;
  if (problem.code === "value_not_in_list" && !isGiven(given, parameter)) {
    const code = isGiven(parameters, parameter) ? codeOf(problem) : "missing-field";
    const message =
      `${parameter} was not given, and no known server has ${String(received)}, its default` +
      `${classType === undefined ? "" : `, for ${classType}`}. ${choiceOf(problem, "Give one of")}`;
    return { path, code, message, ...(code === "missing-field" ? accepted : { received, ...accepted }) };
  }
  const message =
    problem.code === "value_not_in_list"
      ? `No known server has the ${parameter} "${String(received)}". ${choiceOf(problem, "Available")}`
      : `${parameter}: ${problem.message}`;
  return {
    path,
    code: codeOf(problem),
    message,
    ...(received === undefined ? {} : { received }),
    ...accepted,
  };
}

function choiceOf({ accepted }: GraphProblem, lead: string): string {
  const list = Array.isArray(accepted) ? accepted.map(String).join(", ") : "";
  return list === "" ? "They have no values for it." : `${lead}: ${list}.`;
}

/** @param path in the form that problems use: names and list indexes, joined by dots */
function isGiven(parameters: unknown, path: string): boolean {
  let current: unknown = parameters;
  for (const name of path.split(".")) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, name)) return false;
    current = Reflect.get(current, name);
  }
  return true;
}

/** Codes of answers are kebab-case; those of the graph's shape keep the server's own words. */
function codeOf({ code, received }: GraphProblem): string {
  if (code === "missing_node_type") return "unknown-node-class";
  if (code !== "value_not_in_list") return code.replaceAll("_", "-");
  return typeof received === "string" && modelFile.test(received) ? "unknown-model" : "unknown-value";
}

function valuesOf({ received, accepted }: GraphProblem): Pick<JobProblem, "received" | "accepted"> {
  return {
    ...(received === undefined ? {} : { received: shorten(received) }),
    ...(accepted === undefined ? {} : { accepted }),
  };
}
