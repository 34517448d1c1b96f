export type FieldKind =
  | ("text" | "long-text" | "integer" | "number" | "choice" | "boolean" | "seed" | "file" | "time")
  /** drafts hold none */
  | "secret"
  /** a list of texts */
  | "texts"
  /** a list of objects, each with the fields of `entry` */
  | "entries";

/** One input of a form, as the API's own schema describes it. */
export interface Field {
  /** Its place in the body: `steps`, `hiresFix.scale`. */
  readonly name: string;
  readonly label: string;
  readonly description?: string;
  readonly kind: FieldKind;
  readonly isRequired: boolean;
  readonly default?: string | number | boolean;
  readonly min?: number;
  readonly max?: number;
  readonly multipleOf?: number;
  readonly lengthMax?: number;
  readonly choices?: readonly string[];
  /** Where some of them are no texts: what is sent for each. */
  readonly choicesAsGiven?: readonly (string | number | boolean)[];
  /** Its values are what the servers have of this kind; others may be typed. */
  readonly models?: string;
  readonly entry?: readonly Field[];
}

/** What of JSON Schema the API's document uses for parameters of jobs. */
export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly maxLength?: number;
}

const modelKinds: Readonly<Record<string, string>> = {
  ...{ model: "checkpoints", vae: "vae", "loras.name": "loras", motionModel: "motion-modules" },
  ...{ sampler: "samplers", scheduler: "schedulers", "components.unet": "diffusion-models" },
  ...{ "components.textEncoders": "text-encoders", "hiresFix.upscaler": "upscale-models" },
  "motionLoras.name": "motion-modules",
};

const labels: Readonly<Record<string, string>> = {
  ...{ cfg: "CFG", fps: "Frames per second", vae: "VAE", clipSkip: "CLIP skip", loras: "LoRAs" },
  ...{ motionLoras: "Motion LoRAs", initImage: "First image", requires: "Server labels", count: "Pictures" },
  ...{
    timeoutMs: "Longest run (ms)",
    runAt: "Not before",
    expiresAt: "Begin until",
    attemptsMax: "Attempts",
  },
  ...{
    durationSeconds: "Seconds",
    "components.unet": "Diffusion model",
    dependsOn: "After these jobs (ids)",
  },
  ...{ "webhook.url": "Webhook", "webhook.events": "It is told of", "webhook.secret": "Its secret" },
  ...{ reuse: "Reuse the outputs of the same job", stripMetadata: "Files without metadata" },
};

/** Where the API's own words are for programs. */
const descriptions: Readonly<Record<string, string>> = {
  seed: "The same seed and parameters make the same picture. Empty: drawn anew.",
  initImage: "To begin with. It is scaled to the size of the job; what stands out is cropped.",
  timeoutMs: "Counted from the begin of the execution.",
  "webhook.url": "An https URL to which the events are sent: of this job, or of the whole batch.",
  "webhook.secret":
    "Signs what is sent. Draw one, and give it to the receiver. It is kept nowhere in the browser, and gone after a reload.",
};

/** The fields of a kind of jobs. Objects become fields of their own, such as `hiresFix.scale`. */
export function fieldsOf(schema: Schema, without: readonly string[] = [], prefix = ""): Field[] {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]): Field[] => {
    const path = `${prefix}${name}`;
    if (part.const !== undefined || without.includes(path)) return [];
    if (part.type === "object") return fieldsOf(part, without, `${path}.`);
    const kind = kindOf(path, part);
    if (kind === undefined) return [];
    const isRequired = prefix === "" && required.includes(name);
    const models = modelKinds[path];
    return [
      {
        ...{ name: path, label: labels[path] ?? readable(name), kind, isRequired },
        ...boundsOf(part),
        ...(descriptions[path] !== undefined && { description: descriptions[path] }),
        ...(models !== undefined && { models }),
        ...(kind === "entries" && { entry: entryFields(path, part.items ?? {}) }),
      },
    ];
  });
}

function entryFields(path: string, items: Schema): Field[] {
  return fieldsOf(items).map((field) => {
    const models = modelKinds[`${path}.${field.name}`];
    return models === undefined ? field : { ...field, models };
  });
}

/** The fields whose values are secrets. */
export const secretFields: readonly string[] = ["webhook.secret"];

function kindOf(path: string, schema: Schema): FieldKind | undefined {
  if (secretFields.includes(path)) return "secret";
  if (path === "seed") return "seed";
  if (schema.anyOf?.some(({ format }) => format === "uuid") === true) return "file";
  if (schema.enum !== undefined) return "choice";
  switch (schema.type) {
    case "integer":
    case "number":
    case "boolean":
      return schema.type;
    case "array":
      return schema.items?.type === "object" ? "entries" : "texts";
    case "string":
      if (schema.format === "date-time") return "time";
      if (schema.format === "uri") return "text";
      return (schema.maxLength ?? 0) > 1_000 ? "long-text" : "text";
    case undefined:
    default:
      return undefined;
  }
}

function boundsOf(schema: Schema): Partial<Field> {
  const { description, minimum: min, maximum: max, multipleOf, maxLength: lengthMax } = schema;
  const given = schema.default;
  const choices = schema.enum ?? schema.items?.enum;
  return {
    ...(description !== undefined && { description }),
    ...(isScalar(given) && { default: given }),
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(multipleOf !== undefined && { multipleOf }),
    ...(lengthMax !== undefined && { lengthMax }),
    ...(choices !== undefined && { choices: choices.map(String) }),
  };
}

export function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** `negativePrompt` → Negative prompt */
function readable(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
