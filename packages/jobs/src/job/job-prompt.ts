import { type Json, type JobType, type NewJob } from "./job.ts";

/** What an answer shows of a job's prompt. */
export interface JobPrompt {
  /** The prompt that was asked for; of a raw workflow the texts that its nodes encode, shortened. `null` = there is none. */
  prompt: string | null;
  negativePrompt: string | null;
}

const lengthMax = 10_000;
/** The texts of a raw workflow may be many; this much of them tells one job from another. */
const shownTextsMax = 500;

/** Inputs under which nodes of all kinds take their prompts: `text`, `text_g`, `prompt`, `positive_prompt`, … */
const promptInput = /(^|_)(text|prompt)($|_)/i;

/** What a text search looks through: the prompt of the parameters, or the texts that a raw graph's nodes encode. */
export function promptTextOf(job: Pick<NewJob, "parameters" | "workflow">): string {
  return cut(textOf(job.parameters, "prompt") ?? textsOfGraph(job.workflow).join("\n"), lengthMax);
}

/** What is shown of the prompt of a job that is about to be inserted. */
export function promptOf({ type, parameters, promptText }: NewJob): JobPrompt {
  return shownPrompt({ type, promptText, negativePrompt: textOf(parameters, "negativePrompt") });
}

/** What is shown of a prompt as it is stored. */
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

/** At most so many UTF-16 units, and never half of a character. */
function cut(text: string, unitsMax: number): string {
  return text.slice(0, unitsMax).replace(/[\ud800-\udbff]$/, "");
}
