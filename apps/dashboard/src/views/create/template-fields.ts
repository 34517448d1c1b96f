import { isScalar, type Field } from "./job-fields.ts";

/** A parameter as `GET /templates/{name}` has it. */
interface TemplateParameter {
  readonly type: string;
  readonly label?: string;
  readonly description?: string;
  readonly isRequired: boolean;
  readonly default?: unknown;
  readonly min?: number | string;
  readonly max?: number | string;
  readonly multipleOf?: number;
  readonly lengthMax?: number;
  readonly choices?: readonly unknown[];
}

const kinds = {
  ...{ string: "long-text", integer: "integer", number: "number", boolean: "boolean", choice: "choice" },
  ...{ seed: "seed", image: "file", model: "text" },
} as const;

/** Their names are places in the job's body: `values.colour`. */
export function templateFields(parameters: Readonly<Record<string, TemplateParameter>>): Field[] {
  return Object.entries(parameters).flatMap(([name, parameter]) => {
    const { type, label, description, isRequired, min, max, multipleOf, lengthMax, choices } = parameter;
    const kind = kinds[type as keyof typeof kinds] as Field["kind"] | undefined;
    if (kind === undefined) return [];
    const given = parameter.default;
    return [
      {
        ...{ name: `values.${name}`, label: label ?? name, kind, isRequired },
        ...(description !== undefined && { description }),
        ...(isScalar(given) && { default: given }),
        ...bound("min", min),
        ...bound("max", max),
        ...(multipleOf !== undefined && { multipleOf }),
        ...(lengthMax !== undefined && { lengthMax }),
        ...(choices !== undefined && { choices: choices.filter(isScalar).map(String) }),
        ...(choices?.some((choice) => typeof choice !== "string") === true && {
          choicesAsGiven: choices.filter(isScalar),
        }),
      },
    ];
  });
}

/** Bounds beyond what a number holds are texts; the API knows them. */
function bound(name: "min" | "max", value: number | string | undefined): { min?: number; max?: number } {
  return typeof value === "number" ? { [name]: value } : {};
}
