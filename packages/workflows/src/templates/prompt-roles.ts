import { linkOf, type Workflow } from "@genga/comfyui";

/** What a text of a graph says of the picture. */
export type PromptRole = "prompt" | "negativePrompt";

/** Inputs that take a prompt as text. */
export const promptInput = /(^|_)(text|prompt)($|_)/i;

/** More nodes than a chain of conditionings has. */
const depthMax = 50;

/**
 * The texts that samplers get as positive and as negative prompts: by `node input`, whichever nodes lie between. A text
 * that comes from a node of its own is named there. Of a text that is used for both, the positive role counts.
 */
export function promptRolesOf(workflow: Workflow): Map<string, PromptRole> {
  const roles = new Map<string, PromptRole>();
  const walk = (nodeId: string, role: PromptRole, depth: number): void => {
    const node = Object.hasOwn(workflow, nodeId) ? workflow[nodeId] : undefined;
    if (node === undefined || depth > depthMax) return;
    const inputs = Object.entries(node.inputs);
    const texts = inputs.filter(([input]) => promptInput.test(input));
    for (const [input, value] of texts) {
      if (typeof value === "string") note(nodeId, input, role);
      const link = linkOf(value);
      if (link !== undefined) noteSource(link.nodeId, role);
    }
    if (texts.length > 0) return;
    // A node that takes both kinds passes each of them on.
    const own = role === "prompt" ? "positive" : "negative";
    const passes = Object.hasOwn(node.inputs, own) ? inputs.filter(([input]) => input === own) : inputs;
    for (const [, value] of passes) {
      const link = linkOf(value);
      if (link !== undefined) walk(link.nodeId, role, depth + 1);
    }
  };
  const note = (nodeId: string, input: string, role: PromptRole): void => {
    const place = JSON.stringify([nodeId, input]);
    if (roles.get(place) !== "prompt") roles.set(place, role);
  };
  const noteSource = (nodeId: string, role: PromptRole): void => {
    const source = Object.hasOwn(workflow, nodeId) ? workflow[nodeId] : undefined;
    for (const [input, value] of Object.entries(source?.inputs ?? {}))
      if (typeof value === "string") note(nodeId, input, role);
  };
  for (const { class_type: classType, inputs } of Object.values(workflow)) {
    for (const [input, value] of Object.entries(inputs)) {
      const link = linkOf(value);
      if (link === undefined) continue;
      if (input === "positive" || (input === "conditioning" && /guider/i.test(classType)))
        walk(link.nodeId, "prompt", 0);
      if (input === "negative") walk(link.nodeId, "negativePrompt", 0);
    }
  }
  return roles;
}
