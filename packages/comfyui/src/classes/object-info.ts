import { z } from "zod";

/** `[type, options]`, where the type is a name (`INT`, `MODEL`, `COMBO`) or, in the older list shape, the list itself. */
export type InputSpec = [type: SlotType, options?: Record<string, unknown>];

/** The name of a type, of several (`INT,FLOAT`), or the list of choices that an older class gives or takes. */
export type SlotType = string | readonly unknown[];

/** The inputs of a class, or of one branch of a dynamic input, by name. */
export interface InputSpecs {
  required: Record<string, InputSpec>;
  optional: Record<string, InputSpec>;
}

/** A server's definition of one node class (`GET /object_info`). */
export interface NodeDefinition {
  input: InputSpecs & {
    /** The server fills in the values of hidden inputs; only the names matter here. */
    hidden: Record<string, unknown>;
  };
  /** Inputs whose description Genga cannot read. They accept every value, and a graph may leave them out. */
  unreadableInputs: ReadonlySet<string>;
  /** False where the description of the inputs as a whole could not be read: then no input is judged. */
  areInputsKnown: boolean;
  /** The type of each output slot: a list where the slot gives one of several values, `undefined` where it is unreadable. */
  output: (SlotType | undefined)[];
  /** False where the list of outputs could not be read, so that any slot may exist. */
  areOutputsKnown: boolean;
  outputName: string[];
  isOutputNode: boolean;
  /** False where the server's answer does not tell whether the class is an output node. */
  isOutputNodeKnown: boolean;
  displayName: string;
  /** For example `nodes`, `comfy_extras.nodes_video`, `custom_nodes.ComfyUI-VideoHelperSuite`. */
  pythonModule: string;
  category: string;
}

/** A server's catalogue: class → definition. */
export type ObjectInfo = Readonly<Record<string, NodeDefinition>>;

const recordSchema = z.record(z.string(), z.unknown());

const inputSpecSchema = z
  .union([
    z.tuple([z.union([z.string(), z.array(z.unknown())])]).rest(z.unknown()),
    z.string().transform((type): [string] => [type]),
  ])
  .transform(([type, options]): InputSpec => {
    const known = recordSchema.safeParse(options).data;
    return known === undefined ? [type] : [type, known];
  });

/** An input whose description Genga cannot read accepts every value, so that its node stays usable. */
const anythingGoes: InputSpec = ["*"];

/** One group of inputs, and the names in it that could not be read; `undefined` where the group is no object at all. */
function readSpecs(group: unknown): { specs: Record<string, InputSpec>; unreadable: string[] } | undefined {
  if (group === undefined || group === null) return { specs: {}, unreadable: [] };
  const record = recordSchema.safeParse(group).data;
  if (record === undefined) return undefined;
  const unreadable: string[] = [];
  const entries = Object.entries(record).map(([name, raw]): [string, InputSpec] => {
    const spec = inputSpecSchema.safeParse(raw).data;
    if (spec === undefined) unreadable.push(name);
    return [name, spec ?? anythingGoes];
  });
  return { specs: Object.fromEntries(entries), unreadable };
}

/**
 * The inputs of one branch of a dynamic input, as the server nests them: `{required: {name: spec}, optional: {…}}`.
 * `undefined` where that shape is not the one that Genga knows.
 */
export function readInputSpecs(value: unknown): InputSpecs | undefined {
  const record = recordSchema.safeParse(value).data;
  const required = readSpecs(record?.["required"]);
  const optional = readSpecs(record?.["optional"]);
  if (record === undefined || required === undefined || optional === undefined) return undefined;
  return required.unreadable.length + optional.unreadable.length > 0
    ? undefined
    : { required: required.specs, optional: optional.specs };
}

/** Reads one class, as leniently as `objectInfoSchema` reads all classes. */
export const nodeDefinitionSchema: z.ZodType<NodeDefinition> = recordSchema
  .transform((node): NodeDefinition => {
    const inputs = readInputs(node["input"]);
    const outputs = z.array(z.unknown()).safeParse(node["output"]).data;
    const isOutputNode = z.boolean().optional().safeParse(node["output_node"]);
    return {
      ...inputs,
      output: (outputs ?? []).map((slot) => slotTypeSchema.safeParse(slot).data),
      areOutputsKnown: outputs !== undefined || node["output"] === undefined,
      outputName: z.array(z.string()).safeParse(node["output_name"]).data ?? [],
      isOutputNode: isOutputNode.data ?? false,
      isOutputNodeKnown: isOutputNode.success,
      displayName: textOf(node["display_name"]),
      pythonModule: textOf(node["python_module"]),
      category: textOf(node["category"]),
    };
  })
  .catch(() => ({
    ...unknownInputs(),
    output: [],
    areOutputsKnown: false,
    outputName: [],
    isOutputNode: false,
    isOutputNodeKnown: false,
    displayName: "",
    pythonModule: "",
    category: "",
  }));

const slotTypeSchema = z.union([z.string(), z.array(z.unknown())]);

type Inputs = Pick<NodeDefinition, "input" | "unreadableInputs" | "areInputsKnown">;

function unknownInputs(): Inputs {
  return {
    input: { required: {}, optional: {}, hidden: {} },
    unreadableInputs: new Set(),
    areInputsKnown: false,
  };
}

function readInputs(value: unknown): Inputs {
  const input = recordSchema.safeParse(value ?? {}).data;
  const required = readSpecs(input?.["required"]);
  const optional = readSpecs(input?.["optional"]);
  if (input === undefined || required === undefined || optional === undefined) return unknownInputs();
  return {
    input: {
      required: required.specs,
      optional: optional.specs,
      hidden: recordSchema.safeParse(input["hidden"]).data ?? {},
    },
    unreadableInputs: new Set([...required.unreadable, ...optional.unreadable]),
    areInputsKnown: true,
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/**
 * Reads `GET /object_info` leniently: custom node packs put almost anything into it, and one odd class, input or slot
 * must not make any other unknown. Parts that could not be read are marked, so that validation leaves it to the server.
 * Parse once per refresh and keep the result; validation never copies it.
 */
export const objectInfoSchema: z.ZodType<ObjectInfo> = z.record(z.string(), nodeDefinitionSchema);

/** The values a list input accepts, in either list shape; `undefined` for inputs that are not lists (GRAPHS 3). */
export function listOf([type, options]: InputSpec): readonly unknown[] | undefined {
  if (typeof type !== "string") return type;
  const values = options?.["options"];
  return type === "COMBO" && Array.isArray(values) ? values : undefined;
}

/** How a class describes one of its inputs; `undefined` if it has no such input (hidden ones are the server's). */
export function specOf(definition: { input: InputSpecs }, input: string): InputSpec | undefined {
  if (Object.hasOwn(definition.input.required, input)) return definition.input.required[input];
  return Object.hasOwn(definition.input.optional, input) ? definition.input.optional[input] : undefined;
}

/** Loaders that search the input folder by themselves, although no option of their input says so. */
const fileLoader = /^(VHS_)?Load(Image|Images|Video|Audio|Latent)(Mask|Output|Upload|FFmpeg)?$/;
const fileInputs = new Set(["image", "video", "audio", "file", "directory", "latent"]);

/** An input that names a file in the server's input folder, whose list changes with every upload. */
export function isUploadInput(classType: string, input: string, [, options]: InputSpec): boolean {
  const isFlagged = Object.keys(options ?? {}).some((option) => option.endsWith("_upload"));
  return isFlagged || (fileLoader.test(classType) && fileInputs.has(input));
}

/** What a loader reads from a file. */
export type FileKind = "image" | "video" | "audio" | "latent";

const flaggedKinds: Readonly<Record<string, FileKind>> = {
  image_upload: "image",
  animated_image_upload: "image",
  video_upload: "video",
  audio_upload: "audio",
};

/**
 * What a class reads from the file that an input names, by the options of the input, or for the well-known loaders by the
 * name of the class; `undefined` = anything, or not known.
 */
export function fileKindOf(
  classType: string,
  input: string,
  spec: InputSpec | undefined,
): FileKind | undefined {
  const options = Object.keys(spec?.[1] ?? {});
  const flagged = new Set(options.flatMap((option) => flaggedKinds[option] ?? []));
  if (flagged.size > 0) return flagged.size === 1 ? [...flagged][0] : undefined;
  const loaded = fileInputs.has(input) ? fileLoader.exec(classType)?.[2] : undefined;
  return loaded === undefined ? undefined : loadedKinds[loaded];
}

const loadedKinds: Readonly<Record<string, FileKind>> = {
  ...{ Image: "image", Images: "image", Video: "video", Audio: "audio", Latent: "latent" },
};
