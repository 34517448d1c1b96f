import { type Json, type NewJob } from "@genga/jobs";

const lengthMax = 10_000;

/** Inputs under which nodes of all kinds take their prompts: `text`, `text_g`, `prompt`, `positive_prompt`, … */
const promptInput = /(^|_)(text|prompt)($|_)/i;

/** What a text search looks through: the prompt of the parameters, or the texts that a raw graph's nodes encode. */
export function promptText(job: Pick<NewJob, "parameters" | "workflow">): string {
  const prompt = promptOfParameters(job.parameters) ?? textsOfGraph(job.workflow).join("\n");
  return prompt.slice(0, lengthMax);
}

function promptOfParameters(parameters: Json): string | null {
  if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) return null;
  const { prompt } = parameters;
  return typeof prompt === "string" ? prompt : null;
}

/** Only texts matter here, so that numbers may be rounded. */
function textsOfGraph(workflow: string): string[] {
  return membersOf(JSON.parse(workflow)).flatMap(([, node]) =>
    membersOf(Reflect.get(Object(node), "inputs")).flatMap(([name, value]) =>
      typeof value === "string" && promptInput.test(name) ? [value] : [],
    ),
  );
}

function membersOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
