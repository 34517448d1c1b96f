import { stringifyPythonJson } from "../../python/python-json.ts";
import { isDict, pythonText, type PythonValue } from "../../python/python-values.ts";
import { describeValue } from "../describe-value.ts";
import { type NodeImplementation } from "../node-run.ts";
import { plain } from "../node-values.ts";
import { plainInput, textInput } from "../read-input.ts";

/** Nodes about text. */
export const textNodes: Readonly<Record<string, NodeImplementation>> = {
  PreviewAny: async (run) => {
    const source = run.inputs.get("source") ?? plain(null);
    const described =
      source.kind === "plain" ? shown(source.value) : await describeValue(source, run.drawing);
    const text = typeof described === "string" ? described : stringifyPythonJson(described);
    return { outputs: [plain(text)], ui: { text: [text] } };
  },
  PrimitiveString: (run) => ({ outputs: [plain(plainInput(run, "value") ?? "")] }),
  StringConcatenate: (run) => {
    const parts = [textInput(run, "string_a"), textInput(run, "string_b")];
    return { outputs: [plain(parts.join(textInput(run, "delimiter")))] };
  },
};

/** Lists and dicts are shown as JSON, the rest as Python prints it. */
function shown(value: PythonValue): string {
  return Array.isArray(value) || isDict(value) ? stringifyPythonJson(value) : pythonText(value);
}
