import { mainModelOf, needsOf, numberOf, parseWorkflow } from "@genga/comfyui";
import { type MadeJob } from "@genga/jobs";

/** What an archive says of a graph beside the graph itself. */
export interface GraphFacts {
  /** Its seed as digits; of a raw graph with several, that of the first node. */
  seed: string | null;
  mainModel: string | null;
  /** The files of all models that it names, each once. */
  models: string[];
}

const seedInputs = ["seed", "noise_seed"] as const;

export function factsOf({ type, parameters, workflow }: MadeJob): GraphFacts {
  const graph = parseWorkflow(workflow);
  const { models } = needsOf(graph);
  const seeds = Object.values(graph).flatMap(({ inputs }) =>
    seedInputs.flatMap((name) => digitsOf(inputs[name])),
  );
  const given: unknown = type === "workflow" ? undefined : JSON.parse(parameters);
  const own = typeof given === "object" && given !== null && "seed" in given ? digitsOf(given.seed) : [];
  return {
    seed: own[0] ?? seeds[0] ?? null,
    mainModel: mainModelOf(models),
    models: [...new Set(models.map(({ name }) => name))],
  };
}

function digitsOf(value: unknown): string[] {
  if (typeof value === "string") return /^\d{1,20}$/.test(value) ? [value] : [];
  return numberOf(value) === undefined ? [] : [String(value)];
}
