import { readInputSpecs, type InputSpec, type InputSpecs, type NodeDefinition } from "./object-info.ts";
import { isEqualInPython } from "../graph/python-values.ts";
import { isUnknownPlaceholder } from "./slot-types.ts";

/** One dynamic input of a node, expanded by the values that the graph has for it. */
export interface DynamicInput {
  /** The dotted name in the graph: `images`, `mode`, `mode.sub`. */
  name: string;
  /** `unknown`: Genga does not know this kind of input, and leaves everything under its name to the server. */
  kind: "autogrow" | "combo" | "rows" | "slot" | "unknown";
  isRequired: boolean;
  /** Names of members that the node would take now, at most `MEMBERS_SHOWN`; for messages. */
  members: string[];
  /** The keys that a combo offers. */
  choices: unknown[];
  /** For a combo: whether the graph chooses one of `choices`. */
  isChosen: boolean;
}

export interface LiveInputs extends InputSpecs {
  dynamic: DynamicInput[];
}

/** The server makes at most 100 members. Genga treats a definition that names more than this as unknown. */
const membersMax = 1_000;
const membersShown = 8;
const depthMax = 20;
/** The editor's and the server's defaults for a group of rows. */
const rowsMaxDefault = 50;

/**
 * The inputs that a node has for the values it is given. A server replaces each dynamic input by dotted members
 * before it judges the node (PROTOCOL-0.28, section 2): an autogrow by `images.image0`, `images.image1`, …; a dynamic
 * combo by itself and the members of the chosen option (`mode`, `mode.width`); rows by `rows.0.name`, …; nested ones too.
 */
export function liveInputsOf(
  { input }: Pick<NodeDefinition, "input">,
  given: Readonly<Record<string, unknown>>,
): LiveInputs {
  if (!hasDynamicInputs(input)) return { required: input.required, optional: input.optional, dynamic: [] };
  const live: LiveInputs = { required: emptySpecs(), optional: emptySpecs(), dynamic: [] };
  addAll(live, input, { given, prefix: "", depth: 0 });
  return live;
}

/** The objects have no prototype, because a graph or a definition may use any name, even `__proto__`. */
function emptySpecs(): Record<string, InputSpec> {
  return Object.create(null) as Record<string, InputSpec>;
}

interface Place {
  given: Readonly<Record<string, unknown>>;
  /** `""` or `group.`. */
  prefix: string;
  depth: number;
}

type Category = "required" | "optional";
const categories: readonly Category[] = ["required", "optional"];

function hasDynamicInputs({ required, optional }: InputSpecs): boolean {
  return (
    Object.values(required).some(([type]) => isDynamic(type)) ||
    Object.values(optional).some(([type]) => isDynamic(type))
  );
}

function isDynamic(type: unknown): boolean {
  return typeof type === "string" && (Object.hasOwn(expansions, type) || isUnknownPlaceholder(type));
}

function addAll(live: LiveInputs, specs: InputSpecs, place: Place): void {
  for (const category of categories) {
    for (const [id, spec] of Object.entries(specs[category])) {
      const name = `${place.prefix}${id}`;
      if (!isDynamic(spec[0])) live[category][name] = spec;
      else addDynamic(live, category, name, spec, place);
    }
  }
}

function addDynamic(live: LiveInputs, category: Category, name: string, spec: InputSpec, place: Place): void {
  const group: DynamicInput = {
    name,
    kind: "unknown",
    isRequired: category === "required",
    members: [],
    choices: [],
    isChosen: false,
  };
  live.dynamic.push(group);
  const expand = typeof spec[0] === "string" ? expansions[spec[0]] : undefined;
  if (place.depth >= depthMax) return;
  expand?.({ live, group, category, spec, options: spec[1] ?? {}, place });
}

interface Expansion {
  live: LiveInputs;
  group: DynamicInput;
  category: Category;
  spec: InputSpec;
  options: Record<string, unknown>;
  place: Place;
}

/**
 * Each expansion leaves the group `unknown`, and adds nothing, if the description has a shape that Genga does not know.
 */
const expansions: Record<string, (expansion: Expansion) => void> = {
  COMFY_AUTOGROW_V3: addGrown,
  COMFY_DYNAMICCOMBO_V3: addChosen,
  COMFY_DYNAMICGROUP_V3: addRows,
  COMFY_DYNAMICSLOT_V3: addSlot,
};

/** Members `group.<prefix>0…` or `group.<name>`; the first `min` are required, unless the template is optional. */
function addGrown({ live, group, options }: Expansion): void {
  const template = recordOf(options["template"]);
  const names = template === undefined ? undefined : grownNames(template);
  const specs = readInputSpecs(template?.["input"]);
  if (names === undefined || specs === undefined) return;
  const isRequired = Object.keys(specs.required).length > 0;
  const spec = Object.values(isRequired ? specs.required : specs.optional)[0];
  if (spec === undefined) return;
  group.kind = "autogrow";
  const min = typeof template?.["min"] === "number" ? template["min"] : 0;
  for (const [index, id] of names.entries()) {
    live[isRequired && index < min ? "required" : "optional"][`${group.name}.${id}`] = spec;
  }
  group.members = names.slice(0, membersShown).map((id) => `${group.name}.${id}`);
}

function grownNames({ names, prefix, max }: Record<string, unknown>): string[] | undefined {
  if (Array.isArray(names)) {
    return names.length <= membersMax && names.every((name) => typeof name === "string") ? names : undefined;
  }
  if (typeof prefix !== "string" || typeof max !== "number" || !(max >= 0 && max <= membersMax))
    return undefined;
  return Array.from({ length: Math.trunc(max) }, (_unused, index) => `${prefix}${index}`);
}

/** The combo itself and the members of the chosen option; nothing at all while no option is chosen. */
function addChosen({ live, group, category, spec, options, place }: Expansion): void {
  const list: unknown = options["options"];
  if (!Array.isArray(list)) return;
  const branches = list.map((option) => {
    const record = recordOf(option);
    return { key: record?.["key"], specs: readInputSpecs(record?.["inputs"]) };
  });
  if (branches.some(({ key }) => key === undefined)) return;
  group.kind = "combo";
  group.choices = branches.map(({ key }) => key);
  if (!Object.hasOwn(place.given, group.name)) return;
  const choice = place.given[group.name];
  const chosen = branches.find(({ key }) => isEqualInPython(key, choice));
  if (chosen === undefined) return;
  group.isChosen = true;
  live[category][group.name] = spec;
  if (chosen.specs === undefined) {
    // The chosen option exists, but Genga cannot read the description of its members.
    group.kind = "unknown";
    return;
  }
  addAll(live, chosen.specs, { ...place, prefix: `${group.name}.`, depth: place.depth + 1 });
  group.members = Object.keys({ ...chosen.specs.required, ...chosen.specs.optional })
    .slice(0, membersShown)
    .map((id) => `${group.name}.${id}`);
}

/** Rows `group.<n>.<field>`: the first `min`, and every other of which the graph has a field. */
function addRows({ live, group, options, place }: Expansion): void {
  const specs = readInputSpecs(options["template"]);
  const { min = 0, max = rowsMaxDefault } = options;
  if (specs === undefined || typeof min !== "number" || typeof max !== "number" || !(max <= membersMax))
    return;
  group.kind = "rows";
  const given = new Set(Object.keys(place.given).flatMap((name) => rowOf(name, group.name) ?? []));
  for (let row = 0; row < max; row += 1) {
    if (row >= min && !given.has(row)) continue;
    addAll(live, specs, { ...place, prefix: `${group.name}.${row}.`, depth: place.depth + 1 });
  }
  group.members = Object.keys({ ...specs.required, ...specs.optional })
    .slice(0, membersShown)
    .map((id) => `${group.name}.0.${id}`);
}

function rowOf(name: string, group: string): number | undefined {
  if (!name.startsWith(`${group}.`)) return undefined;
  const row = /^(0|[1-9]\d{0,3})\./.exec(name.slice(group.length + 1))?.[1];
  return row === undefined ? undefined : Number(row);
}

/** The slot itself, with its placeholder type, and its members, once the graph gives it a value. */
function addSlot({ live, group, category, spec, options, place }: Expansion): void {
  const specs = readInputSpecs(options["inputs"]);
  if (specs === undefined) return;
  group.kind = "slot";
  if (!Object.hasOwn(place.given, group.name)) return;
  group.isChosen = true;
  live[category][group.name] = spec;
  addAll(live, specs, { ...place, prefix: `${group.name}.`, depth: place.depth + 1 });
}

/** The dynamic input that a name of the graph belongs to: the innermost one of that name, or of its first parts. */
export function dynamicInputOf(name: string, dynamic: readonly DynamicInput[]): DynamicInput | undefined {
  let innermost: DynamicInput | undefined;
  for (const group of dynamic) {
    const { length } = group.name;
    const isInside = name.startsWith(group.name) && (name.length === length || name[length] === ".");
    if (isInside && length > (innermost?.name.length ?? -1)) innermost = group;
  }
  return innermost;
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
