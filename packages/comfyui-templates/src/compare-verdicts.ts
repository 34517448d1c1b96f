import { validateGraph, type GraphProblem, type ObjectInfo, type Workflow } from "@genga/comfyui";
import { type ServerVerdict } from "./server-verdicts.ts";

/** What is known of how a server takes a graph. */
export interface KnownVerdict extends ServerVerdict {
  /** Inputs of needed nodes that the server drops without a word. Absent: nobody looked. */
  ignored?: readonly { node: string; input: string }[] | undefined;
  /** Links on inputs that a class lacks: the server hands them to the node, which fails. */
  passedUnlisted?: readonly { node: string; input: string }[] | undefined;
  /** The server accepts the graph, and this node's function cannot be called with its inputs. */
  cannotRun?: readonly { node: string; text: string }[] | undefined;
}

export interface JudgedGraph {
  name: string;
  graph: Workflow;
  server: KnownVerdict;
  /**
   * Places (`placeOf`) that somebody spoilt in a graph that was good, in a way that the server does not see: a refusal
   * that names one of them is right.
   */
  spoilt?: ReadonlySet<string>;
  /** A class that the server replaces by another, which its definitions do not tell. */
  isOfReplacedClass?: boolean;
}

/** How Genga's verdict compares with the server's. */
export type Outcome =
  /** Both accept, or both refuse. */
  | "agreed"
  /** The server would run it, and we stand between: the worst fault. */
  | "false refusal"
  /** Genga accepts what the server refuses, though the definitions tell. */
  | "false acceptance"
  /** The server refuses by a check of the node's own, of files for example, of which the definitions say nothing. */
  | "check of the server's own"
  /** Refused on purpose: the server accepts it, and it would fail there. */
  | "foreseen failure"
  /** Refused, and rightly so by what is known of the node or of the spoilt part. */
  | "right refusal";

export interface Comparison {
  outcome: Outcome;
  /** In one line, for counting: code, class and input. */
  cause: string;
  /** What Genga says, or the server where Genga says nothing. */
  message: string;
  /** Both refuse, and no place that the server names is among Genga's. */
  isWrongPlace: boolean;
  /** Warnings that an input is ignored, though the server uses it. */
  untrueWarnings: string[];
}

/** Codes by which Genga refuses what a server takes and cannot finish. */
const foreseenCodes: ReadonlySet<string> = new Set([
  "context_options_missing",
  "odd_frame_size",
  "node_fails_at_run_time",
]);
/** Types that can be written into a graph. A written value of any other is taken by the server, and fails the node. */
const writtenTypes: ReadonlySet<unknown> = new Set(["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"]);
/** Errors that the server reports at another input than the one at fault, or at none. */
const placelessTypes =
  /^(exception_during_(inner_)?validation|dependency_cycle|missing_node_type|invalid_prompt)$/;

/** A place in a graph; of a dotted input, the whole group. */
export function placeOf(node: string | undefined, input: string | null | undefined): string {
  return `${node ?? ""} ${input?.split(".")[0] ?? ""}`;
}

/** Judges a graph as Genga does, when it is submitted and against the definitions, and compares with the server. */
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

function isForeseen({ code, accepted }: GraphProblem): boolean {
  const isWrittenLink =
    code === "invalid_input_type" && typeof accepted === "string" && !writtenTypes.has(accepted);
  return foreseenCodes.has(code) || isWrittenLink;
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
