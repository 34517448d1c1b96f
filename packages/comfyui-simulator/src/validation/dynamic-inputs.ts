import { inputSpecsOf, type InputSpec, type NodeClass } from "../nodes/node-catalog.ts";
import { isDict, pythonText, type PythonDict, type PythonValue } from "../python/python-values.ts";
import { pythonEquals } from "./input-types.ts";

/** The inputs that a class has for one node: dynamic groups replaced by their members (PROTOCOL-0.28, 2). */
export interface FinalInputs {
  readonly inputs: readonly InputSpec[];
  /** The path of each dotted input in the nested value that the node receives: `images.image0` → the same. */
  readonly paths: ReadonlyMap<string, string>;
  /** Groups without any member, which the node gets as an empty dict. */
  readonly emptyGroups: ReadonlySet<string>;
}

/** Expands the dynamic groups of a class by the inputs that a node has been given. */
export function finalInputs(nodeClass: NodeClass, given: PythonDict): FinalInputs {
  const known = plainClasses.get(nodeClass);
  if (known !== undefined) return known;
  const expansion = new Expansion(given);
  expansion.add(nodeClass.inputs, []);
  const found = expansion.result();
  if (!nodeClass.inputs.some(isDynamic)) plainClasses.set(nodeClass, found);
  return found;
}

/** Classes without dynamic groups have the same inputs for every node. */
const plainClasses = new WeakMap<NodeClass, FinalInputs>();

const autogrow = "COMFY_AUTOGROW_V3";
const combo = "COMFY_DYNAMICCOMBO_V3";
const slot = "COMFY_DYNAMICSLOT_V3";

function isDynamic({ type }: InputSpec): boolean {
  return type === autogrow || type === combo || type === slot;
}

class Expansion {
  readonly #given: PythonDict;
  readonly #required = new Map<string, InputSpec>();
  readonly #optional = new Map<string, InputSpec>();
  readonly #paths = new Map<string, string>();
  readonly #emptyGroups = new Set<string>();

  constructor(given: PythonDict) {
    this.#given = given;
  }

  result(): FinalInputs {
    // A name in both categories counts as required.
    const optional = [...this.#optional]
      .filter(([name]) => !this.#required.has(name))
      .map(([, spec]) => spec);
    return {
      inputs: [...this.#required.values(), ...optional],
      paths: this.#paths,
      emptyGroups: this.#emptyGroups,
    };
  }

  add(specs: readonly InputSpec[], prefix: readonly string[]): void {
    for (const spec of specs) {
      const path = [...prefix, spec.name];
      if (spec.type === autogrow) this.#addMembers(spec, path);
      else if (spec.type === combo) this.#addChosen(spec, path);
      else if (spec.type === slot) this.#addSlot(spec, path);
      else {
        const name = path.join(".");
        this.#put({ ...spec, name });
        if (prefix.length > 0) this.#paths.set(name, name);
      }
    }
  }

  /** The first `min` names are required, whether the group itself is or not. The group itself is not an input. */
  #addMembers(group: InputSpec, path: readonly string[]): void {
    const template = dictIn(group.options, "template");
    const [item] = inputSpecsOf(dictIn(template, "input"));
    if (item === undefined) return;
    const min = Number(template.get("min") ?? 0);
    const present: InputSpec[] = [];
    for (const [index, member] of memberNames(template).entries()) {
      const category = index < min && item.category === "required" ? "required" : "optional";
      this.#put({ ...item, name: [...path, member].join("."), category });
      if (this.#given.has([...path, member].join("."))) present.push({ ...item, name: member, category });
    }
    if (present.length === 0) {
      const name = path.join(".");
      this.#paths.set(name, name);
      this.#emptyGroups.add(name);
    }
    this.add(present, path);
  }

  /** If the choice is missing or unknown, the group has no members, and no error is reported. */
  #addChosen(group: InputSpec, path: readonly string[]): void {
    const name = path.join(".");
    const choice = this.#given.get(name);
    if (choice === undefined) return;
    const options = group.options.get("options");
    const chosen = (Array.isArray(options) ? options : [])
      .filter(isDict)
      .find((option) => pythonEquals(option.get("key") ?? null, choice));
    if (chosen === undefined) return;
    this.add(inputSpecsOf(dictIn(chosen, "inputs")), path);
    this.#addSelf(group, name, path);
  }

  #addSlot(group: InputSpec, path: readonly string[]): void {
    const name = path.join(".");
    if (!this.#given.has(name)) return;
    this.add(inputSpecsOf(dictIn(group.options, "inputs")), path);
    this.#addSelf(group, name, path);
  }

  #addSelf(group: InputSpec, name: string, path: readonly string[]): void {
    this.#put({ ...group, name });
    this.#paths.set(name, [...path, path.at(-1) ?? ""].join("."));
  }

  #put(spec: InputSpec): void {
    (spec.category === "required" ? this.#required : this.#optional).set(spec.name, spec);
  }
}

function memberNames(template: PythonDict): string[] {
  const names = template.get("names");
  if (Array.isArray(names)) return names.map(pythonText);
  const prefix = pythonText(template.get("prefix") ?? "");
  return Array.from({ length: Number(template.get("max") ?? 0) }, (_, index) => `${prefix}${index}`);
}

function dictIn(dict: PythonDict, key: string): PythonDict {
  const value: PythonValue = dict.get(key) ?? null;
  return isDict(value) ? value : new Map<string, PythonValue>();
}
