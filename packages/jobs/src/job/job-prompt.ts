import { type Json, type JobType, type NewJob } from "./job.ts";

/** The part of a job's prompt that answers show. */
export interface JobPrompt {
  /** The prompt; for a raw workflow, the texts that its nodes encode, shortened. `null` = there is none. */
  prompt: string | null;
  negativePrompt: string | null;
}

const lengthMax = 10_000;
/** A raw workflow may have many texts. This many characters of them are enough to tell one job from another. */
const shownTextsMax = 500;

/** The names of inputs that take prompts in nodes of all kinds: `text`, `text_g`, `prompt`, `positive_prompt`, … */
const promptInput = /(^|_)(text|prompt)($|_)/i;

/** The text that a search goes through: the prompt of the parameters, or the texts that a raw graph's nodes encode. */
export function promptTextOf(job: Pick<NewJob, "parameters" | "workflow">): string {
  return cut(textOf(job.parameters, "prompt") ?? textsOfGraph(job.workflow).join("\n"), lengthMax);
}

/** The prompt to show of a job that is about to be inserted. */
export function promptOf({ type, parameters, promptText }: NewJob): JobPrompt {
  return shownPrompt({ type, promptText, negativePrompt: textOf(parameters, "negativePrompt") });
}

/** The prompt to show of a job, from its stored columns. */
export function shownPrompt(stored: {
  type: JobType;
  promptText: string;
  negativePrompt: string | null;
}): JobPrompt {
  const { type, promptText, negativePrompt } = stored;
  const isShortened = type === "workflow" && promptText.length > shownTextsMax;
  const prompt = isShortened ? `${cut(promptText, shownTextsMax - 1)}…` : promptText;
  return { prompt: prompt === "" ? null : prompt, negativePrompt };
}

function textOf(parameters: Json, name: string): string | null {
  if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) return null;
  const value = parameters[name];
  return typeof value === "string" ? value : null;
}

/** Numbers may lose digits when this parses the graph, because only texts are taken from it. */
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

/** Cuts to at most `unitsMax` UTF-16 units, never within a character. */
export function cut(text: string, unitsMax: number): string {
  return text.slice(0, unitsMax).replace(/[\ud800-\udbff]$/, "");
}
