import { isScalar } from "./job-fields.ts";

/** A value of a graph that could be a parameter of a template. */
export interface Suggestion {
  readonly name: string;
  /** As a template takes it. */
  readonly parameter: unknown;
  /** What it is, and which inputs it goes to. */
  readonly detail: string;
}

interface Parameter {
  readonly type?: unknown;
  readonly default?: unknown;
  readonly targets?: unknown;
}

const shownMax = 60;

export function suggestions(parameters: Readonly<Record<string, unknown>>): Suggestion[] {
  return Object.entries(parameters).map(([name, parameter]) => {
    const { type, default: given, targets } = (parameter ?? {}) as Parameter;
    const places = Array.isArray(targets)
      ? targets.map(
          ({ node, input }: { node?: unknown; input?: unknown }) => `${String(node)}.${String(input)}`,
        )
      : [];
    const now = isScalar(given) ? `, now ${shortened(String(given))}` : "";
    return { name, parameter, detail: `${String(type)}${now} (node ${shortened(places.join(", "))})` };
  });
}

/** The body that asks for suggestions. @param graph JSON text, whose numbers keep their digits */
export function suggestionText(graph: string): string {
  return `{"workflow":${graph}}`;
}

/** The body that stores a template; without a name, that of a version of one. */
export function templateText(template: {
  name?: string;
  description: string;
  chosen: readonly Suggestion[];
  graph: string;
}): string {
  const { name, description, chosen, graph } = template;
  const rest = {
    ...(name !== undefined && { name }),
    ...(description.trim() !== "" && { description: description.trim() }),
    parameters: Object.fromEntries(chosen.map((each) => [each.name, each.parameter])),
  };
  return `${JSON.stringify(rest).slice(0, -1)},"workflow":${graph}}`;
}

function shortened(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text;
}
