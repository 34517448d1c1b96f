import { linkOf, type Workflow } from "@genga/comfyui";

/** What a text of a graph says of the picture. */
export type PromptRole = "prompt" | "negativePrompt";

/** Inputs that take a prompt as text. */
export const promptInput = /(^|_)(text|prompt)($|_)/i;

/**
 * The texts that samplers get as positive and as negative prompts: by `node input`, whichever nodes lie between. A text
 * that comes from a node of its own is named there. Of a text that is used for both, the positive role counts.
 */
export function promptRolesOf(workflow: Workflow): Map<string, PromptRole> {
  const roles = new Map<string, PromptRole>();
  const note = (nodeId: string, input: string, role: PromptRole): void => {
    const place = JSON.stringify([nodeId, input]);
    if (roles.get(place) !== "prompt") roles.set(place, role);
  };
  for (const role of ["prompt", "negativePrompt"] as const) {
    const sources = new Set<string>();
    for (const nodeId of nodesOfRole(workflow, role)) {
      for (const [input, value] of textsOf(workflow, nodeId)) {
        if (typeof value === "string") note(nodeId, input, role);
        const link = linkOf(value);
        if (link !== undefined) sources.add(link.nodeId);
      }
    }
    for (const nodeId of sources)
      for (const [input, value] of inputsOf(workflow, nodeId))
        if (typeof value === "string") note(nodeId, input, role);
  }
  return roles;
}

/** The nodes that conditionings of this role come from or through, each once: very many ways may lead to a node. */
function nodesOfRole(workflow: Workflow, role: PromptRole): Set<string> {
  const found = new Set<string>();
  const waiting = startsOf(workflow, role);
  for (let nodeId = waiting.pop(); nodeId !== undefined; nodeId = waiting.pop()) {
    if (found.has(nodeId)) continue;
    found.add(nodeId);
    if (textsOf(workflow, nodeId).length > 0) continue;
    const inputs = inputsOf(workflow, nodeId);
    // A node that takes both kinds passes each of them on.
    const own = role === "prompt" ? "positive" : "negative";
    const passes = inputs.some(([input]) => input === own)
      ? inputs.filter(([input]) => input === own)
      : inputs;
    for (const [, value] of passes) {
      const link = linkOf(value);
      if (link !== undefined) waiting.push(link.nodeId);
    }
  }
  return found;
}

/** The nodes that samplers take conditionings of this role from. */
function startsOf(workflow: Workflow, role: PromptRole): string[] {
  return Object.values(workflow).flatMap(({ class_type: classType, inputs }) =>
    Object.entries(inputs).flatMap(([input, value]) => {
      const takes =
        role === "negativePrompt"
          ? input === "negative"
          : input === "positive" || (input === "conditioning" && /guider/i.test(classType));
      return takes ? (linkOf(value)?.nodeId ?? []) : [];
    }),
  );
}

function textsOf(workflow: Workflow, nodeId: string): [string, unknown][] {
  return inputsOf(workflow, nodeId).filter(([input]) => promptInput.test(input));
}

function inputsOf(workflow: Workflow, nodeId: string): [string, unknown][] {
  return Object.hasOwn(workflow, nodeId) ? Object.entries(workflow[nodeId]?.inputs ?? {}) : [];
}
