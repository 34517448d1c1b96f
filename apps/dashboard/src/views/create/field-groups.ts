import { type Field } from "./job-fields.ts";

export interface FieldGroup {
  readonly title: string;
  readonly fields: readonly Field[];
}

/** What matters first, and the parameters of a template, is always shown. */
const first = [
  ...["prompt", "negativePrompt", "model", "width", "height", "steps", "cfg", "seed", "count"],
  ...["durationSeconds", "fps", "family", "motionModel", "initImage", "denoise"],
];

const folded: readonly (readonly [title: string, names: RegExp])[] = [
  ["Sampler and model parts", /^(sampler|scheduler|vae|clipSkip|loras|components\..*)$/],
  ["Second pass", /^hiresFix\./],
  ["Mask", /^mask/],
  ["Motion and file", /^(motion.*|context.*|closedLoop|format|writer)$/],
  ["Labels", /^(project|scene|shot|tags)$/],
  ["Webhook", /^webhook\./],
  ["Queue", /^(priority|requires|attemptsMax|timeoutMs|runAt|expiresAt|dependsOn)$/],
];

/** A field that the API has and this page does not know is in the last group. */
export function groupsOf(fields: readonly Field[]): { first: Field[]; folded: FieldGroup[] } {
  const left = new Map(fields.map((field) => [field.name, field]));
  const take = (names: string[]): Field[] =>
    names.flatMap((name) => {
      const field = left.get(name);
      left.delete(name);
      return field === undefined ? [] : [field];
    });
  const ofTemplate = [...left.keys()].filter((name) => name.startsWith("values."));
  const shown = take([...ofTemplate, ...first]);
  const groups = folded.map(([title, names]) => ({
    title,
    fields: take([...left.keys()].filter((name) => names.test(name))),
  }));
  return {
    first: shown,
    folded: [...groups, { title: "Outputs and more", fields: [...left.values()] }].filter(
      (group) => group.fields.length > 0,
    ),
  };
}
