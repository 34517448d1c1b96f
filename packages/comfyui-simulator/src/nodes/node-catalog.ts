import { objectInfo, objectInfoNames, type RecordedVersion } from "@genga/comfyui-recordings";
import { parsePythonJson } from "../python/python-json.ts";
import { isDict, pythonText, type PythonDict, type PythonValue } from "../python/python-values.ts";

/** One input of a node class: its type (a name, or the list of accepted values) and its options. */
export interface InputSpec {
  readonly name: string;
  readonly category: "required" | "optional";
  readonly type: string | PythonValue[];
  readonly options: PythonDict;
}

/** A node class as `/object_info` describes it. */
export interface NodeClass {
  readonly name: string;
  readonly isOutput: boolean;
  /** Written against the server's newer node interface, which words a few messages differently. */
  readonly isNewStyle: boolean;
  readonly inputs: readonly InputSpec[];
  readonly hidden: ReadonlyMap<string, string>;
  readonly outputs: readonly string[];
  readonly info: PythonDict;
}

/** Recorded node definitions, with the lists of files (checkpoints, uploads) filled in as they are now. */
export class NodeCatalog {
  private readonly recorded: ReadonlyMap<string, PythonDict>;
  private readonly filesOf: (className: string, inputName: string) => readonly string[] | undefined;
  private readonly parsed = new Map<string, NodeClass>();

  /** @param filesOf the accepted values of an input that names a file; undefined: as recorded */
  constructor(
    recorded: ReadonlyMap<string, PythonDict>,
    filesOf: (className: string, inputName: string) => readonly string[] | undefined,
  ) {
    this.recorded = recorded;
    this.filesOf = filesOf;
  }

  names(): string[] {
    return [...this.recorded.keys()];
  }

  get(name: string): NodeClass | undefined {
    const known = this.parsed.get(name);
    if (known) return known;
    const info = this.recorded.get(name);
    if (info === undefined) return undefined;
    const nodeClass = describe(name, info);
    this.parsed.set(name, nodeClass);
    return nodeClass;
  }

  /** The list of accepted values of a list input, as of now. */
  accepted(nodeClass: NodeClass, input: InputSpec): PythonValue[] | undefined {
    if (!Array.isArray(input.type)) return undefined;
    const files = this.filesOf(nodeClass.name, input.name);
    return files ? [...files] : input.type;
  }

  /** The `/object_info` entry of a class. */
  info(name: string): PythonDict | undefined {
    const nodeClass = this.get(name);
    if (nodeClass === undefined) return undefined;
    const replaced = nodeClass.inputs.flatMap((input) => {
      const files = this.filesOf(name, input.name);
      return files ? [{ input, files: [...files] }] : [];
    });
    return replaced.length === 0 ? nodeClass.info : withFiles(nodeClass.info, replaced);
  }
}

/** The recorded definitions of some node packs: every class of each. */
export function readNodeDefinitions(
  version: RecordedVersion,
  packs: readonly string[],
): Map<string, PythonDict> {
  const classes = new Map<string, PythonDict>();
  for (const pack of objectInfoNames(version)) {
    if (!packs.includes(pack)) continue;
    const content = parsePythonJson(objectInfo(version, pack));
    if (!isDict(content)) throw new TypeError(`the definitions of ${pack} are not an object`);
    for (const [name, info] of content) if (isDict(info)) classes.set(name, info);
  }
  return classes;
}

function describe(name: string, info: PythonDict): NodeClass {
  const input = dictAt(info, "input");
  return {
    name,
    isOutput: info.get("output_node") === true,
    isNewStyle: info.has("api_node"),
    inputs: [...inputsOf(input, "required"), ...inputsOf(input, "optional")],
    hidden: new Map([...dictAt(input, "hidden")].map(([key, value]) => [key, hiddenKind(value)])),
    outputs: listAt(info, "output").map((type) => (typeof type === "string" ? type : "COMBO")),
    info,
  };
}

function inputsOf(input: PythonDict, category: "required" | "optional"): InputSpec[] {
  return [...dictAt(input, category)].map(([name, spec]) => {
    const [type, options] = Array.isArray(spec) ? spec : [spec];
    return {
      name,
      category,
      type: Array.isArray(type) ? type : pythonText(type ?? null),
      options: isDict(options) ? options : new Map<string, PythonValue>(),
    };
  });
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
