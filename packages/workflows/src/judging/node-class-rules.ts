import { replacementOf } from "@genga/comfyui";
import { InvalidJobError, type JobProblem, type NamedClass } from "@genga/jobs";
import { type KnownServer } from "./judge-submission.ts";

/** Patterns of node classes, `*` for any characters, in any case. A class that both lists match is allowed. */
export interface NodeClassRules {
  denied: readonly string[];
  allowed: readonly string[];
}

/**
 * Checks the nodes of a client's graph against the rules: the classes that the graph names, and the classes by which a
 * known server would replace them.
 * @throws InvalidJobError naming each node, its class and the setting
 */
export function assertAllowedClasses(
  nodes: readonly NamedClass[],
  servers: readonly KnownServer[],
  rules: NodeClassRules,
): void {
  const judged = new Map<string, string | undefined>();
  const problems = nodes.flatMap(({ nodeId, classType }) => {
    if (!judged.has(classType)) judged.set(classType, refusalOf(classType, servers, rules));
    const refusal = judged.get(classType);
    return refusal === undefined ? [] : problemAt(nodeId, classType, refusal);
  });
  if (problems.length > 0) throw new InvalidJobError(problems);
}

function refusalOf(
  classType: string,
  servers: readonly KnownServer[],
  rules: NodeClassRules,
): string | undefined {
  if (isDenied(classType, rules)) return `${shown(classType)} is denied here by NODE_CLASSES_DENIED`;
  for (const { objectInfo, replacements = {} } of servers) {
    const newClass = replacementOf(classType, replacements, objectInfo)?.newClass;
    if (newClass !== undefined && isDenied(newClass, rules)) {
      return `a server replaces ${shown(classType)} by ${shown(newClass)}, which is denied here by NODE_CLASSES_DENIED`;
    }
  }
  return undefined;
}

function problemAt(nodeId: string, classType: string, refusal: string): JobProblem {
  return {
    path: `workflow.${nodeId}`.slice(0, 300),
    code: "denied-node-class",
    message: `Node ${nodeId.slice(0, 200)}: ${refusal}; an operator can allow it with the setting NODE_CLASSES_ALLOWED.`,
    nodeId: nodeId.slice(0, 200),
    received: shown(classType),
  };
}

function shown(classType: string): string {
  return classType.slice(0, 100);
}

function isDenied(classType: string, { denied, allowed }: NodeClassRules): boolean {
  const name = classType.toLowerCase();
  return (
    denied.some((pattern) => matches(pattern.toLowerCase(), name)) &&
    !allowed.some((pattern) => matches(pattern.toLowerCase(), name))
  );
}

/**
 * Searches for the pieces between the stars one after the other. Unlike a regular expression, this stays fast for every
 * name.
 */
function matches(pattern: string, name: string): boolean {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const piece of others) {
    const at = name.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}
