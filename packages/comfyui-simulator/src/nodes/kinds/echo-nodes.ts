import { stringifyPythonJson } from "../../python/python-json.ts";
import { isDict, type PythonDict, type PythonValue } from "../../python/python-values.ts";
import { type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { plain, type NodeValue } from "../node-values.ts";

/** Nodes made for the recordings of 0.28: they output the arguments of their call as JSON text. */
export const echoNodes: Readonly<Record<string, NodeImplementation>> = {
  ProtoV3Grow: echo,
  ProtoV3Combo: echo,
  ProtoV3Slot: echo,
  ProtoV3Match: echo,
  ProtoV3Multi: echo,
  ProtoV3Flags: echo,
  ProtoV3All: echo,
  ProtoV3Inter: (run) => {
    const image = run.inputs.get("image") ?? plain(null);
    return { outputs: [image], ui: { text: [shown(image)] } };
  },
};

function echo(run: NodeRun): NodeResult {
  const text = stringifyPythonJson(sorted(nestedInputs(run)));
  return { outputs: [plain(text)], ui: { text: [text] } };
}

/** Members of dynamic groups inside the group that they belong to. */
function nestedInputs(run: NodeRun): PythonDict {
  const nested: PythonDict = new Map();
  for (const [name, value] of run.inputs) if (!run.isMember(name)) nested.set(name, shown(value));
  for (const [path, value] of run.members) put(nested, path.split("."), shown(value));
  for (const group of run.emptyGroups) put(nested, group.split("."), new Map());
  return nested;
}

function put(nested: PythonDict, [first = "", ...rest]: readonly string[], value: PythonValue): void {
  if (rest.length === 0) {
    nested.set(first, value);
    return;
  }
  const found = nested.get(first) ?? null;
  const group = isDict(found) ? found : new Map<string, PythonValue>();
  nested.set(first, group);
  put(group, rest, value);
}

/** Shows tensors by their shape, and other values that are not JSON by their kind. */
function shown(value: NodeValue): PythonValue {
  if (value.kind === "plain") return value.value;
  if (value.kind === "list") return value.items.map(shown);
  if (value.kind === "mask") return `tensor [${value.count}, ${value.height}, ${value.width}]`;
  if (value.kind !== "image") return value.kind;
  const [first] = value.pictures;
  return `tensor [${value.pictures.length}, ${first?.height ?? 0}, ${first?.width ?? 0}, 3]`;
}

function sorted(value: PythonValue): PythonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isDict(value)) return value;
  const entries = [...value].map(([key, item]): [string, PythonValue] => [key, sorted(item)]);
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
