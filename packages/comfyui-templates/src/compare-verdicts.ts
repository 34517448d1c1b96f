import { isForeseen, validateGraph, type GraphProblem, type ObjectInfo, type Workflow } from "@genga/comfyui";
import { type ServerVerdict } from "./server-verdicts.ts";

/** A server's verdict on a graph, with further facts about how the server treats it. */
export interface KnownVerdict extends ServerVerdict {
  /** Inputs of needed nodes that the server drops without an error. Absent if this was not examined. */
  ignored?: readonly { node: string; input: string }[] | undefined;
  /** Links on inputs that a class does not declare: the server hands them to the node, which fails. */
  passedUnlisted?: readonly { node: string; input: string }[] | undefined;
  /** The server accepts the graph, and this node's function cannot be called with its inputs. */
  cannotRun?: readonly { node: string; text: string }[] | undefined;
}

export interface JudgedGraph {
  name: string;
  graph: Workflow;
  server: KnownVerdict;
  /**
   * Places (`placeOf`) that were deliberately spoilt in a valid graph, in a way that the server does not notice. A
   * refusal that names one of them is right.
   */
  spoilt?: ReadonlySet<string>;
  /** Whether the graph has a class that the server replaces by another, which its definitions do not show. */
  isOfReplacedClass?: boolean;
}

/** How Genga's verdict compares with the server's. */
export type Outcome =
  /** Both accept, or both refuse. */
  | "agreed"
  /** Genga refuses a graph that the server would run: the worst fault. */
  | "false refusal"
  /** Genga accepts a graph that the server refuses, although the definitions show the reason. */
  | "false acceptance"
  /** The server refuses because of a node's own check, of files for example, which the definitions do not show. */
  | "check of the server's own"
  /** Genga refuses on purpose: the server accepts the graph, and the run would fail. */
  | "foreseen failure"
  /** Genga refuses, and known facts about the node or the spoilt part show that this is right. */
  | "right refusal";

export interface Comparison {
  outcome: Outcome;
  /** For counting, in one line: code, class and input. */
  cause: string;
  /** Genga's message, or the server's if Genga has none. */
  message: string;
  /** Both refuse, and Genga names none of the places that the server names. */
  isWrongPlace: boolean;
  /** Genga's warnings that an input is ignored, although the server uses it. */
  untrueWarnings: string[];
}

/** Errors that the server reports at another input than the one at fault, or at none. */
const placelessTypes =
  /^(exception_during_(inner_)?validation|dependency_cycle|missing_node_type|invalid_prompt)$/;

/** A place in a graph; of a dotted input, the whole group. */
export function placeOf(node: string | undefined, input: string | null | undefined): string {
  return `${node ?? ""} ${input?.split(".")[0] ?? ""}`;
}

/**
 * Judges a graph in the way of a submission, by its shape and by the definitions, and compares the verdict with the
 * server's.
 */
export function compareVerdicts(judged: JudgedGraph, objectInfo: ObjectInfo): Comparison {
  const { graph, server } = judged;
  const full = validateGraph(graph, objectInfo);
  const alone = validateGraph(graph).errors.filter(
    (error) => !full.errors.some((other) => exactPlaceOf(other) === exactPlaceOf(error)),
  );
  const errors = [...full.errors, ...alone];
  const outcome = outcomeOf(judged, errors);
  const [error] = errors;
  const [theirs] = server.errors;
  const cause =
    error === undefined
      ? `${theirs?.type ?? "refused"}, ${classOf(graph, theirs?.node)}.${theirs?.input ?? ""}`
      : `${error.code}, ${error.classType ?? ""}.${error.input ?? ""}`;
  return {
    outcome,
    cause,
    message: error?.message ?? `the server says ${theirs?.type ?? "no"} ${theirs?.details ?? ""}`,
    isWrongPlace: !server.accepted && errors.length > 0 && !namesTheSame(server, errors),
    untrueWarnings: untrueWarnings(full.warnings, server),
  };
}

function outcomeOf({ server, spoilt, isOfReplacedClass }: JudgedGraph, errors: GraphProblem[]): Outcome {
  if (server.accepted === (errors.length === 0)) return "agreed";
  if (!server.accepted) {
    const isOwnCheck = server.errors.every(({ type }) => type === "custom_validation_failed");
    return isOwnCheck ? "check of the server's own" : "false acceptance";
  }
  if (errors.every(isForeseen)) return "foreseen failure";
  const isRight = (error: GraphProblem): boolean =>
    isForeseen(error) ||
    spoilt?.has(placeOf(error.nodeId, error.input)) === true ||
    (isOfReplacedClass === true && error.code === "missing_node_type") ||
    (server.cannotRun ?? []).some(
      ({ node, text }) =>
        node === error.nodeId && error.input !== undefined && text.includes(`'${error.input.split(".")[0]}`),
    );
  return errors.every(isRight) ? "right refusal" : "false refusal";
}

function namesTheSame({ errors: theirs }: ServerVerdict, ours: GraphProblem[]): boolean {
  if (theirs.every(({ node }) => node === "")) return true;
  return theirs.some(({ node, input, type }) =>
    input === null || placelessTypes.test(type)
      ? ours.some((error) => error.nodeId === node)
      : ours.some((error) => error.nodeId === node && error.input === input),
  );
}

function untrueWarnings(warnings: GraphProblem[], { ignored, passedUnlisted }: KnownVerdict): string[] {
  if (ignored === undefined) return [];
  const dropped = new Set(ignored.map(({ node, input }) => `${node} ${input}`));
  const passed = new Set((passedUnlisted ?? []).map(({ node, input }) => `${node} ${input}`));
  return warnings.flatMap((warning) => {
    const isTrue = dropped.has(exactPlaceOf(warning)) && !passed.has(exactPlaceOf(warning));
    return warning.code !== "unknown_input" || isTrue ? [] : [warning.message];
  });
}

function exactPlaceOf({ nodeId, input }: GraphProblem): string {
  return `${nodeId ?? ""} ${input ?? ""}`;
}

function classOf(graph: Workflow, node: string | undefined): string {
  return (node === undefined ? undefined : graph[node]?.class_type) ?? "";
}
