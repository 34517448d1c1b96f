import { z } from "zod";

/** `[type, options]`, where the type is a name (`INT`, `MODEL`, `COMBO`) or, in the older list shape, the list itself. */
export type InputSpec = [type: string | readonly unknown[], options?: Record<string, unknown>];

/** What a server says about one node class (`GET /object_info`). */
export interface NodeDefinition {
  input: {
    required: Record<string, InputSpec>;
    optional: Record<string, InputSpec>;
    /** Filled in by the server; only the names matter here. */
    hidden: Record<string, unknown>;
  };
  /** The type of each output slot; a list where the slot gives one of several values. */
  output: (string | readonly unknown[])[];
  outputName: string[];
  isOutputNode: boolean;
  displayName: string;
  /** For example `nodes`, `comfy_extras.nodes_video`, `custom_nodes.ComfyUI-VideoHelperSuite`. */
  pythonModule: string;
  category: string;
}

/** A server's catalogue: class → definition. */
export type ObjectInfo = Readonly<Record<string, NodeDefinition>>;

const inputSpecSchema = z
  .union([
    z.tuple([z.union([z.string(), z.array(z.unknown())])]).rest(z.unknown()),
    z.string().transform((type): [string] => [type]),
  ])
  .transform(([type, options]): InputSpec => {
    const known = z.record(z.string(), z.unknown()).safeParse(options).data;
    return known === undefined ? [type] : [type, known];
  });

/** An input whose description is not understood accepts everything, rather than making its node unusable. */
const anythingGoes: InputSpec = ["*"];
const inputSpecsSchema = z.record(z.string(), inputSpecSchema.catch(anythingGoes)).nullish().catch(undefined);

const nodeDefinitionSchema = z
  .object({
    input: z
      .object({
        required: inputSpecsSchema,
        optional: inputSpecsSchema,
        hidden: z.record(z.string(), z.unknown()).nullish().catch(undefined),
      })
      .default({}),
    output: z.array(z.union([z.string(), z.array(z.unknown())])).catch([]),
    output_name: z.array(z.string()).catch([]),
    output_node: z.boolean().catch(false),
    display_name: z.string().nullish().catch(undefined),
    python_module: z.string().catch(""),
    category: z.string().catch(""),
  })
  .transform((node): NodeDefinition => ({
    input: {
      required: node.input.required ?? {},
      optional: node.input.optional ?? {},
      hidden: node.input.hidden ?? {},
    },
    output: node.output,
    outputName: node.output_name,
    isOutputNode: node.output_node,
    displayName: node.display_name ?? "",
    pythonModule: node.python_module,
    category: node.category,
  }));

/**
 * Reads `GET /object_info` leniently: custom node packs put almost anything into it, and one odd node must not make
 * the other 386 unknown. Parse once per refresh and keep the result; validation never copies it.
 */
export const objectInfoSchema: z.ZodType<ObjectInfo> = z.record(z.string(), nodeDefinitionSchema);

/** The values a list input accepts, in either list shape; `undefined` for inputs that are not lists (GRAPHS 3). */
export function listOf([type, options]: InputSpec): readonly unknown[] | undefined {
  if (typeof type !== "string") return type;
  const values = options?.["options"];
  return type === "COMBO" && Array.isArray(values) ? values : undefined;
}

/** How a class describes one of its inputs; `undefined` if it has no such input (hidden ones are the server's). */
export function specOf(definition: NodeDefinition, input: string): InputSpec | undefined {
  if (Object.hasOwn(definition.input.required, input)) return definition.input.required[input];
  return Object.hasOwn(definition.input.optional, input) ? definition.input.optional[input] : undefined;
}

/** Loaders that look at the folder themselves, and say nothing of it in their options. */
const FILE_LOADER = /^(VHS_)?Load(Image|Images|Video|Audio)(Mask|Output|Upload|FFmpeg)?$/;
const FILE_INPUTS = new Set(["image", "video", "audio", "file", "directory"]);

/** An input that names a file in the server's input folder, whose list changes with every upload. */
export function isUploadInput(classType: string, input: string, [, options]: InputSpec): boolean {
  const isFlagged = Object.keys(options ?? {}).some((option) => option.endsWith("_upload"));
  return isFlagged || (FILE_LOADER.test(classType) && FILE_INPUTS.has(input));
}
