import { isDict, pythonText, type PythonDict, type PythonValue } from "../python/python-values.ts";

/** One input of a node class: its type (a name, or the list of accepted values) and its options. */
export interface InputSpec {
  /** With the path of its dynamic group, such as `images.image0`. */
  readonly name: string;
  readonly category: "required" | "optional";
  readonly type: string | PythonValue[];
  readonly options: PythonDict;
}

export type OutputType = string | PythonValue[];

/** A node class as `/object_info` describes it. */
export interface NodeClass {
  readonly name: string;
  readonly isOutput: boolean;
  /** Whether the class uses the server's newer node interface, which words a few messages differently. */
  readonly isNewStyle: boolean;
  readonly inputs: readonly InputSpec[];
  readonly hidden: ReadonlyMap<string, string>;
  /** Whether results are kept for the node's id only: classes of the older interface that are told the id. */
  readonly keepsResultsById: boolean;
  /** A type name, or a list of accepted values; servers of 0.3.64 call the latter COMBO. */
  readonly outputs: readonly OutputType[];
  /** Which outputs are lists, whose items later nodes take one by one. */
  readonly outputIsList: readonly boolean[];
  /** Whether the class receives whole lists instead of running once for each item. */
  readonly isInputList: boolean;
  /** Whether the class has a UI output although it is not an output node. */
  readonly hasIntermediateOutput: boolean;
  readonly info: PythonDict;
}

/** Recorded node definitions, with the present lists of files (checkpoints, uploads) filled in. */
export class NodeCatalog {
  readonly #recorded: ReadonlyMap<string, PythonDict>;
  readonly #filesOf: (className: string, inputName: string) => readonly string[] | undefined;
  readonly #parsed = new Map<string, NodeClass>();

  /** @param filesOf the accepted values of an input that names a file; undefined: as recorded */
  constructor(
    recorded: ReadonlyMap<string, PythonDict>,
    filesOf: (className: string, inputName: string) => readonly string[] | undefined,
  ) {
    this.#recorded = recorded;
    this.#filesOf = filesOf;
  }

  names(): string[] {
    return [...this.#recorded.keys()];
  }

  get(name: string): NodeClass | undefined {
    const known = this.#parsed.get(name);
    if (known) return known;
    const info = this.#recorded.get(name);
    if (info === undefined) return undefined;
    const nodeClass = describe(name, info);
    this.#parsed.set(name, nodeClass);
    return nodeClass;
  }

  /** The present list of accepted values of a list input. */
  accepted(nodeClass: NodeClass, input: InputSpec): PythonValue[] | undefined {
    if (!Array.isArray(input.type)) return undefined;
    const files = this.#filesOf(nodeClass.name, input.name);
    return files ? [...files] : input.type;
  }

  /** The present options of a COMBO input. An input whose options the browser fills in later (`remote`) has none. */
  comboOptions(nodeClass: NodeClass, input: InputSpec): PythonValue[] {
    const files = this.#filesOf(nodeClass.name, input.name);
    return files ? [...files] : listAt(input.options, "options");
  }

  /** The `/object_info` entry of a class. */
  info(name: string): PythonDict | undefined {
    const nodeClass = this.get(name);
    if (nodeClass === undefined) return undefined;
    const replaced = nodeClass.inputs.flatMap((input) => {
      const files = this.#filesOf(name, input.name);
      return files ? [{ input, files: [...files] }] : [];
    });
    return replaced.length === 0 ? nodeClass.info : withFiles(nodeClass.info, replaced);
  }
}

function describe(name: string, info: PythonDict): NodeClass {
  const input = dictAt(info, "input");
  const hidden = dictAt(input, "hidden");
  return {
    name,
    isOutput: info.get("output_node") === true,
    isNewStyle: info.has("api_node"),
    inputs: inputSpecsOf(input),
    hidden: new Map([...hidden].map(([key, value]) => [key, hiddenKind(value)])),
    keepsResultsById: [...hidden.values()].includes("UNIQUE_ID"),
    outputs: listAt(info, "output").map((type) =>
      typeof type === "string" || Array.isArray(type) ? type : "COMBO",
    ),
    outputIsList: listAt(info, "output_is_list").map((flag) => flag === true),
    isInputList: info.get("is_input_list") === true,
    hasIntermediateOutput: info.get("has_intermediate_output") === true,
    info,
  };
}

/** The inputs of `{"required": {name: [type, options]}, "optional": {…}}`; groups hold the same within. */
export function inputSpecsOf(input: PythonDict): InputSpec[] {
  return (["required", "optional"] as const).flatMap((category) =>
    [...dictAt(input, category)].map(([name, spec]) => {
      const [type, options] = Array.isArray(spec) ? spec : [spec];
      return {
        name,
        category,
        type: Array.isArray(type) ? type : pythonText(type ?? null),
        options: isDict(options) ? options : new Map<string, PythonValue>(),
      };
    }),
  );
}

function hiddenKind(value: PythonValue): string {
  const kind = Array.isArray(value) ? value[0] : value;
  return typeof kind === "string" ? kind : "";
}

function withFiles(info: PythonDict, replaced: { input: InputSpec; files: string[] }[]): PythonDict {
  const input = new Map(dictAt(info, "input"));
  for (const { input: spec, files } of replaced) {
    const category = new Map(dictAt(input, spec.category));
    const old = category.get(spec.name);
    const rest = Array.isArray(old) ? old.slice(1) : [];
    if (Array.isArray(spec.type)) category.set(spec.name, [files, ...rest]);
    else category.set(spec.name, [spec.type, new Map(spec.options).set("options", files)]);
    input.set(spec.category, category);
  }
  return new Map(info).set("input", input);
}

function dictAt(dict: PythonDict, key: string): PythonDict {
  const value = dict.get(key);
  return isDict(value) ? value : new Map<string, PythonValue>();
}

function listAt(dict: PythonDict, key: string): PythonValue[] {
  const value = dict.get(key);
  return Array.isArray(value) ? value : [];
}
