import { z } from "zod";
import { type EditorNode } from "./editor-workflow.ts";

/** `[type, options?]` as `/object_info` has it. */
type Spec = readonly [type: string | readonly unknown[], options: Readonly<Record<string, unknown>>];

const optionsSchema = z.record(z.string(), z.unknown()).catch({});
const specSchema = z
  .tuple([z.union([z.string(), z.array(z.unknown())])])
  .rest(z.unknown())
  .transform(([type, options]): Spec => [type, optionsSchema.parse(options)]);
const specsSchema = z.record(z.string(), specSchema.optional().catch(undefined)).nullish().catch(undefined);
const inputsSchema = z
  .looseObject({ required: specsSchema, optional: specsSchema })
  .catch({ required: undefined, optional: undefined });
const definitionSchema = z.looseObject({ input: inputsSchema }).catch({ input: inputsSchema.parse({}) });
const branchesSchema = z.array(z.looseObject({ key: z.unknown(), inputs: inputsSchema })).catch([]);

type Inputs = z.output<typeof inputsSchema>;

/**
 * Types for which the editor always makes a widget. Inputs of other types have a widget if they cannot be linked, or if
 * they name one.
 */
const widgetTypes = new Set([
  ...["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3", "LOAD_3D"],
]);
/** Buttons above the view of a 3D model, which also have an entry in the list of values. */
const buttons: ReadonlySet<unknown> = new Set(["upload3dmodel", "uploadExtraResources", "clear"]);
/**
 * Values of the widget beside a seed, which decides how the seed changes for the next run. They are in the list of
 * values, but are not inputs.
 */
const controls: ReadonlySet<unknown> = new Set([
  "fixed",
  "increment",
  "decrement",
  "randomize",
  "increment-wrap",
]);

/**
 * The values of a node's widgets by the names of the inputs that they are for.
 *
 * Newer files name them (`widgets_values_named`). Older files have a list in the order of the widgets. That is the
 * order of the inputs in the definition, except that the members of a dynamic combo follow the combo, and the widget
 * for changes of a seed follows the seed. A widget without a value has its default.
 * @param definition the definition of the class in `/object_info`, unchanged
 */
export function valuesOfWidgets(node: EditorNode, definition: unknown): Map<string, unknown> {
  const { input } = definitionSchema.parse(definition);
  const values = new Map<string, unknown>();
  collect(input, "", values, sourceOf(node));
  return values;
}

/** Returns the value of the next widget; `undefined` if the file has none. */
interface ValueSource {
  next(name: string): { value: unknown } | undefined;
  /** Skips values that belong to no input. */
  pass(strays: ReadonlySet<unknown>): void;
}

function sourceOf({ widgets_values: values, widgets_values_named: named }: EditorNode): ValueSource {
  const byName = namedValues(values, named);
  if (byName !== undefined) {
    const next = (name: string): { value: unknown } | undefined =>
      Object.hasOwn(byName, name) ? { value: byName[name] } : undefined;
    return { next, pass: () => undefined };
  }
  const list = Array.isArray(values) ? values : [];
  let place = 0;
  return {
    next: () => (place < list.length ? { value: list[place++] } : undefined),
    pass: (strays) => {
      while (place < list.length && strays.has(list[place])) place += 1;
    },
  };
}

/** The named values may be older than the list. The names then come from one, and the values from the other. */
function namedValues(
  values: EditorNode["widgets_values"],
  named: EditorNode["widgets_values_named"],
): Record<string, unknown> | undefined {
  if (named === undefined || named === null)
    return Array.isArray(values) || values === null ? undefined : values;
  const names = Object.keys(named);
  if (!Array.isArray(values) || values.length !== names.length) return named;
  return Object.fromEntries(names.map((name, place) => [name, values[place]]));
}

function collect(inputs: Inputs, prefix: string, values: Map<string, unknown>, source: ValueSource): void {
  const specs = [...Object.entries(inputs.required ?? {}), ...Object.entries(inputs.optional ?? {})];
  for (const [name, spec] of specs) {
    if (spec === undefined || !hasWidget(spec)) continue;
    const [type, options] = spec;
    const full = `${prefix}${name}`;
    if (type === "LOAD_3D") source.pass(buttons);
    const given = source.next(full);
    const value = given === undefined ? defaultOf(spec) : given.value;
    if (value !== undefined) values.set(full, value);
    if (hasControl(name, spec)) source.pass(controls);
    if (type !== "COMFY_DYNAMICCOMBO_V3") continue;
    const branch = branchesSchema.parse(options["options"]).find(({ key }) => key === value);
    if (branch !== undefined) collect(branch.inputs, `${full}.`, values, source);
  }
}

function hasWidget([type, options]: Spec): boolean {
  if (options["forceInput"] === true) return false;
  if (options["socketless"] === true || typeof options["widgetType"] === "string") return true;
  return typeof type !== "string" || widgetTypes.has(type);
}

function hasControl(name: string, [type, options]: Spec): boolean {
  const control = options["control_after_generate"];
  return control !== undefined ? control !== false : type === "INT" && ["seed", "noise_seed"].includes(name);
}

function defaultOf([type, options]: Spec): unknown {
  if (options["default"] !== undefined) return options["default"];
  const choices: unknown = typeof type === "string" ? options["options"] : type;
  if (type === "COMFY_DYNAMICCOMBO_V3") return branchesSchema.parse(choices)[0]?.key;
  if (Array.isArray(choices)) return choices[0] as unknown;
  const plain: Readonly<Record<string, unknown>> = { INT: 0, FLOAT: 0, BOOLEAN: false };
  return typeof type === "string" ? (plain[type] ?? "") : undefined;
}
