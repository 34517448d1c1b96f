import { PythonFloat, pythonText, type PythonValue } from "../../python/python-values.ts";
import {
  NodeException,
  type Expansion,
  type NeededInputs,
  type NodeImplementation,
  type NodeRun,
} from "../node-run.ts";
import { plain, type NodeValue } from "../node-values.ts";
import { flagInput, imageInput, numberInput, plainInput, textInput } from "../read-input.ts";

const frame = 'custom_nodes/proto_nodes_v3/__init__.py"';

/** Nodes made for the recordings of 0.28: asynchronous, lazy, list, blocking and expanding ones. */
export const recordingFlowNodes: Readonly<Record<string, NodeImplementation>> = {
  ProtoAsync: async (run) => {
    await run.wait(numberInput(run, "seconds", 1) * 1_000);
    if (flagInput(run, "fail"))
      throw new NodeException("ValueError", "async boom", [`${frame}, line 23, in go`]);
    return { outputs: [plain(`slept ${secondsText(run)}`)] };
  },
  ProtoProgressAsync: async (run) => {
    const steps = numberInput(run, "steps", 2);
    for (let step = 1; step <= steps; step += 1) {
      await run.wait((numberInput(run, "seconds", 1) * 1_000) / steps);
      await run.progress(step, steps);
    }
    return { outputs: [plain(secondsText(run))] };
  },
  ProtoJoin: (run) => {
    const text = `${valueText(run.inputs.get("a"))} / ${valueText(run.inputs.get("b"))}`;
    return { outputs: [plain(text)], ui: { text: [text] } };
  },
  ProtoList: (run) => {
    const count = numberInput(run, "count", 3);
    const word = textInput(run, "word", "w");
    const items = Array.from({ length: count }, (_, index) => plain(`${word}${index}`));
    return { outputs: [{ kind: "list", items }] };
  },
  ProtoBlock: (run) => {
    const mode = textInput(run, "mode");
    if (mode === "pass") return { outputs: [run.inputs.get("value") ?? plain(null)] };
    return { outputs: [{ kind: "blocked", message: mode === "message" ? "blocked on purpose" : undefined }] };
  },
  ProtoLazy: (run) => ({ outputs: [run.inputs.get(textInput(run, "pick")) ?? plain(null)] }),
  ProtoExpand: (run) => ({ outputs: [], expansion: expansionOf(run) }),
  ProtoTypes: (run) => {
    const word = plain(plainInput(run, "word") ?? null);
    return { outputs: [word, word, word, word] };
  },
};

/** `check_lazy_status` of the nodes that have lazy inputs. */
export const lazyNodes: ReadonlyMap<string, NeededInputs> = new Map<string, NeededInputs>([
  ["ProtoLazy", (inputs) => [valueText(inputs.get("pick"))]],
  [
    "ComfySwitchNode",
    (inputs) => {
      const flag = inputs.get("switch");
      return [flag?.kind === "plain" && flag.value === true ? "on_true" : "on_false"];
    },
  ],
]);

/** Nodes whose function is a coroutine. */
export const asyncNodes: ReadonlySet<string> = new Set(["ProtoAsync", "ProtoProgressAsync"]);

function expansionOf(run: NodeRun): Expansion {
  const inner = textInput(run, "inner");
  const seed = plain(plainInput(run, "seed") ?? 0);
  const inverted = { inner: "1", slot: 0 };
  const nodes: [string, { className: string; inputs: ReadonlyMap<string, NodeValue | typeof inverted> }][] = [
    ["1", { className: "ImageInvert", inputs: new Map([["image", imageInput(run, "image")]]) }],
  ];
  const add = (className: string, inputs: Record<string, NodeValue | typeof inverted>): void => {
    nodes.push(["2", { className, inputs: new Map(Object.entries(inputs)) }]);
  };
  if (inner === "preview") add("PreviewImage", { images: inverted });
  else if (inner === "fail") {
    add("ProtoFail", { image: inverted, mode: plain("value"), message: plain("inner boom"), seed });
  } else if (inner === "sleep") {
    const seconds = plain(new PythonFloat(0.5));
    add("ProtoSleep", { image: inverted, seconds, steps: plain(2), preview: plain("none"), seed });
  }
  const last = inner === "fail" || inner === "sleep" ? { inner: "2", slot: 0 } : inverted;
  return { nodes: new Map(nodes), outputs: [last] };
}

function secondsText(run: NodeRun): string {
  return pythonText(plainInput(run, "seconds") ?? null);
}

function valueText(value: NodeValue | undefined): string {
  const shown: PythonValue = value?.kind === "plain" ? value.value : null;
  return pythonText(shown);
}
