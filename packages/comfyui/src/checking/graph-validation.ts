import { FaultlessGraphs } from "./alike-graphs.ts";
import { checkDeadlyLink, checkNode, type Findings, type NodeInContext } from "./check-node.ts";
import { definitionOf, missingNode, noLink } from "./check-link.ts";
import { liveInputsOf } from "../classes/dynamic-inputs.ts";
import { foreseeableFailures } from "./foreseeable-failures.ts";
import {
  allLinks,
  brokenNodes,
  findCycle,
  neededBy,
  rememberedLinks,
  sinksOf,
  type LinksOf,
} from "../graph/graph-links.ts";
import {
  firstOf,
  inputProblem,
  isFull,
  nodeProblem,
  shortName,
  type GraphProblem,
  type GraphValidation,
} from "../graph/graph-problem.ts";
import { checkShape } from "../graph/graph-shape.ts";
import { specOf, type ObjectInfo } from "../classes/object-info.ts";
import { linkOf, type Workflow } from "../graph/workflow.ts";
import { withoutWrappedLinks } from "./wrapped-links.ts";

export interface ValidateGraphOptions {
  /** Names of files that will be on the server by the time the graph runs, though its list does not have them yet. */
  uploads?: ReadonlySet<string>;
}

/**
 * At most this many `notChecked` entries, so that a graph with thousands of unknown nodes does not return thousands of
 * them.
 */
const notCheckedMax = 50;
/** A message names at most this many nodes of a cycle. */
const cycleShownMax = 50;

/**
 * Judges a graph the way the server would, before it is queued: errors for what the server refuses, for what would harm
 * the server (PROTOCOL 10), and for what the server accepts although the run must fail; warnings for what the server
 * silently converts or drops; and `notChecked` for what the server's definitions describe in a way that Genga does not
 * know.
 *
 * With object info, as on the server, only nodes that some output needs are judged. Without object info those nodes are
 * not known, so only two things are refused: a value that is not shaped as a graph, and a graph of which no node can
 * run. Validation without object info therefore never refuses a graph that validation with it accepts. The result
 * depends on the arguments only, which must not be changed afterwards; it takes time linear in the graph, and for a graph
 * that differs from an earlier one only in values that no check reads, a fraction of it (`alike-graphs.ts`).
 */
export function validateGraph(
  value: unknown,
  objectInfo?: ObjectInfo,
  options: ValidateGraphOptions = {},
): GraphValidation {
  const { workflow, problems } = checkShape(value);
  if (workflow === undefined) return { errors: problems, warnings: [] };
  if (objectInfo === undefined) return judgeAlone(workflow);
  const faultless = options.uploads === undefined ? faultlessOn(objectInfo) : undefined;
  const likeness = faultless?.likenessOf(workflow, objectInfo);
  if (likeness !== undefined && faultless?.has(likeness) === true) return { errors: [], warnings: [] };
  const { errors, warnings, notChecked } = judgeByDefinitions(workflow, objectInfo, options);
  if (likeness !== undefined && errors.length + warnings.length + notChecked.length === 0)
    faultless?.add(likeness);
  return {
    errors: firstOf(errors),
    warnings: firstOf(warnings),
    ...(notChecked.length > 0 && { notChecked: notChecked.slice(0, notCheckedMax) }),
  };
}

/** Kept as long as the definitions are in use. */
const faultlessGraphs = new WeakMap<ObjectInfo, FaultlessGraphs>();

function faultlessOn(objectInfo: ObjectInfo): FaultlessGraphs {
  let known = faultlessGraphs.get(objectInfo);
  if (known === undefined) faultlessGraphs.set(objectInfo, (known = new FaultlessGraphs()));
  return known;
}

/**
 * Judges the links of a graph without definitions. Problems are errors if no node can run, whatever the classes are;
 * otherwise they are warnings.
 */
function judgeAlone(workflow: Workflow): GraphValidation {
  const links = rememberedLinks(allLinks(workflow));
  const problems: GraphProblem[] = [];
  for (const [nodeId, node] of Object.entries(workflow)) {
    for (const [input, value] of Object.entries(node.inputs)) {
      if (!Array.isArray(value) || isFull(problems)) continue;
      const problem = value.length === 2 ? missingNode(value, workflow) : noLink(value);
      if (problem !== undefined) problems.push(inputProblem(nodeId, node, input, problem));
    }
  }
  const cycle = findCycle(workflow, new Set(Object.keys(workflow)), links);
  if (cycle !== undefined) problems.push(cycleProblem(workflow, cycle));
  const isHopeless = brokenNodes(workflow, links).size === Object.keys(workflow).length;
  return isHopeless
    ? { errors: firstOf(problems), warnings: [] }
    : { errors: [], warnings: firstOf(problems) };
}

function judgeByDefinitions(
  workflow: Workflow,
  objectInfo: ObjectInfo,
  { uploads }: ValidateGraphOptions,
): Findings {
  const findings: Findings = { errors: missingClasses(workflow, objectInfo), warnings: [], notChecked: [] };
  const written = rememberedLinks(allLinks(workflow));
  const { roots, perhaps } = outputsOf(
    workflow,
    objectInfo,
    findings.errors.length > 0 ? written : undefined,
  );
  if (roots.length === 0 && perhaps.length === 0) findings.errors.push(noOutputs(workflow, written));

  // The server validates the nodes that it reaches over declared inputs, and runs the nodes that it reaches over any
  // link. While it validates a node, it unwraps the node's values, and a link among them is one from then on.
  const declared = rememberedLinks(declaredLinks(workflow, objectInfo));
  const judged = neededBy(workflow, roots, declared);
  const validated = new Set([...judged, ...neededBy(workflow, perhaps, declared)]);
  const asRun = withoutWrappedLinks(workflow, validated, objectInfo);
  const links = asRun === workflow ? written : rememberedLinks(allLinks(asRun));
  const running = neededBy(workflow, roots, links);
  const perhapsRunning = neededBy(workflow, perhaps, links);
  for (const [nodeId, node] of Object.entries(workflow)) {
    const context: NodeInContext = { nodeId, node, workflow, objectInfo, uploads };
    if (judged.has(nodeId)) checkNode(context, findings);
    else if (running.has(nodeId)) checkUnjudged(context, findings);
    else if (!perhapsRunning.has(nodeId) && roots.length > 0) {
      findings.warnings.push(
        nodeProblem(nodeId, node, "unneeded_node", "no output needs it; it will not run."),
      );
    }
  }
  const cycle = findCycle(workflow, judged, declared);
  if (cycle !== undefined) findings.errors.push(cycleProblem(workflow, cycle));
  else {
    // The server does not validate undeclared links. With a cycle over such links it accepts the graph, and then finds
    // no node to start with.
    const hidden = findCycle(workflow, running, links);
    if (hidden !== undefined)
      findings.errors.push({ ...cycleProblem(asRun, hidden), code: "node_fails_at_run_time" });
  }
  // Look for failures of the run only in a graph that the server accepts.
  if (findings.errors.length === 0) {
    const foreseen = foreseeableFailures(asRun, running, objectInfo);
    findings.errors.push(...foreseen.errors);
    findings.warnings.push(...foreseen.warnings);
  }
  return findings;
}

/** Judges a node that the server runs without validating it. Only links that harm the server are reported. */
function checkUnjudged(context: NodeInContext, findings: Findings): void {
  const { nodeId, node } = context;
  for (const [input, value] of Object.entries(node.inputs)) {
    if (isFull(findings.errors)) return;
    const { error } = checkDeadlyLink(value, context);
    if (error !== undefined) findings.errors.push(inputProblem(nodeId, node, input, error));
  }
}

/**
 * Returns the output nodes (`roots`), and the nodes for which the definitions do not say whether they are output nodes
 * (`perhaps`).
 */
function outputsOf(
  workflow: Workflow,
  objectInfo: ObjectInfo,
  linksIfClassesMiss: LinksOf | undefined,
): { roots: string[]; perhaps: string[] } {
  const roots: string[] = [];
  const perhaps: string[] = [];
  for (const [nodeId, node] of Object.entries(workflow)) {
    const definition = definitionOf(node, objectInfo);
    if (definition?.isOutputNode === true) roots.push(nodeId);
    else if (definition?.isOutputNodeKnown === false) perhaps.push(nodeId);
  }
  // A node whose class the server lacks may be the output node that the other nodes are for.
  if (linksIfClassesMiss !== undefined) roots.push(...sinksOf(workflow, linksIfClassesMiss));
  return { roots, perhaps };
}

/** The links on inputs that a node's class declares, given the values that the node has. */
function declaredLinks(workflow: Workflow, objectInfo: ObjectInfo): LinksOf {
  return (nodeId) => {
    const node = workflow[nodeId];
    const definition = definitionOf(node, objectInfo);
    if (node === undefined) return [];
    const live = definition?.areInputsKnown === true ? liveInputsOf(definition, node.inputs) : undefined;
    return Object.entries(node.inputs).flatMap(([input, value]) => {
      const link = linkOf(value);
      if (link === undefined || (live !== undefined && specOf({ input: live }, input) === undefined))
        return [];
      return link.nodeId;
    });
  };
}

function missingClasses(workflow: Workflow, objectInfo: ObjectInfo): GraphProblem[] {
  return Object.entries(workflow).flatMap(([nodeId, node]) => {
    if (definitionOf(node, objectInfo) !== undefined) return [];
    const text = `the server has no node class ${shortName(node.class_type)}.`;
    return { ...nodeProblem(nodeId, node, "missing_node_type", text), received: node.class_type };
  });
}

function noOutputs(workflow: Workflow, links: LinksOf): GraphProblem {
  const cycle = findCycle(workflow, new Set(Object.keys(workflow)), links);
  if (cycle !== undefined && sinksOf(workflow, links).length === 0) return cycleProblem(workflow, cycle);
  return {
    code: "prompt_no_outputs",
    message: "The workflow has no output node (for example SaveImage), so nothing would run.",
  };
}

function cycleProblem(workflow: Workflow, cycle: string[]): GraphProblem {
  const nodeId = cycle[0] ?? "";
  const node = workflow[nodeId] ?? { class_type: "", inputs: {} };
  const path = [
    ...cycle.slice(0, cycleShownMax).map(shortName),
    ...(cycle.length > cycleShownMax ? ["…"] : []),
  ].join(" ← ");
  const inCycle = Object.entries(node.inputs).find(([, value]) => linkOf(value)?.nodeId === cycle[1]);
  const text = `its links lead back to it: ${path}.`;
  return inCycle === undefined
    ? nodeProblem(nodeId, node, "dependency_cycle", text)
    : inputProblem(nodeId, node, inCycle[0], { code: "dependency_cycle", text, received: inCycle[1] });
}
