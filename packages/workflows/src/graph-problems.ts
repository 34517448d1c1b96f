import { type GraphProblem } from "@genga/comfyui";
import { type JobProblem, type JobType } from "@genga/jobs";
import { type BuiltGraph } from "./graph-builder.ts";
import { shorten } from "./parameter-problems.ts";

const modelFile = /\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$/i;

/** A fault in a graph that the client wrote: named by node and input. */
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

/** A fault in a graph that we made: named by the parameter that the client sent, where there is one. */
export function problemOfGeneratedGraph(problem: GraphProblem, graph: BuiltGraph, type: JobType): JobProblem {
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
  const values = valuesOf(problem);
  return { path: parameter, code: codeOf(problem), message: messageOf(parameter, problem), ...values };
}

function messageOf(parameter: string, problem: GraphProblem): string {
  const { received, accepted } = problem;
  if (problem.code !== "value_not_in_list") return `${parameter}: ${problem.message}`;
  const list = Array.isArray(accepted) ? accepted.map(String).join(", ") : "";
  const available = list === "" ? "They have none." : `Available: ${list}.`;
  return `No known server has the ${parameter} "${String(received)}". ${available}`;
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
