import {
  isDict,
  isTruthy,
  PythonFloat,
  pythonRepr,
  pythonText,
  pythonTypeName,
  toPythonFloat,
  toPythonInt,
  type PythonValue,
} from "../../python/python-values.ts";
import { evaluateExpression } from "./math-expression.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { opaque, plain, type NodeValue } from "../node-values.ts";
import { flagInput, groupMembers, plainInput, textInput } from "../read-input.ts";

/** Nodes of 0.28 about values: constants, switches, lists, numbers and text. */
export const logicNodes: Readonly<Record<string, NodeImplementation>> = {
  PrimitiveInt: passValue,
  PrimitiveFloat: passValue,
  PrimitiveBoolean: passValue,
  PrimitiveStringMultiline: passValue,
  ComfySwitchNode: (run) => ({
    outputs: [run.inputs.get(flagInput(run, "switch") ? "on_true" : "on_false") ?? plain(null)],
  }),
  ComfyNotNode: (run) => ({ outputs: [plain(!isTrue(run.inputs.get("value")))] }),
  ComfyAndNode: (run) => ({
    outputs: [plain(groupMembers(run, "values").every(([, value]) => isTrue(value)))],
  }),
  ComfyOrNode: (run) => ({
    outputs: [plain(groupMembers(run, "values").some(([, value]) => isTrue(value)))],
  }),
  CustomCombo: (run) => ({
    outputs: [plain(plainInput(run, "choice") ?? null), plain(plainInput(run, "index") ?? 0)],
  }),
  CreateList: (run) => {
    const items = groupMembers(run, "inputs").flatMap(([, value]) =>
      value.kind === "list" ? value.items : [value],
    );
    return { outputs: [{ kind: "list", items }] };
  },
  ComfyMathExpression: (run) => {
    const expression = textInput(run, "expression");
    if (expression.trim() === "") throw new NodeException("ValueError", "Expression cannot be empty.");
    const values = groupMembers(run, "values").map(([name, value]): [string, PythonValue] => [
      name,
      plainOf(value),
    ]);
    return { outputs: numbersOf(evaluateExpression(expression, new Map(values)), expression) };
  },
  ComfyNumberConvert: convertNumber,
  StringFormat: (run) => {
    const values = new Map(groupMembers(run, "values").map(([name, value]) => [name, plainOf(value)]));
    const text = textInput(run, "f_string").replace(/\{\{|\}\}|\{(\w*)\}/g, (mark: string, name?: string) => {
      if (mark === "{{" || mark === "}}") return mark.charAt(0);
      if (name === undefined || !values.has(name))
        throw new NodeException("KeyError", pythonRepr(name ?? ""));
      return pythonText(values.get(name) ?? null);
    });
    return { outputs: [plain(text)] };
  },
  ColorToRGBInt: (run) => {
    const color = textInput(run, "color");
    if (!/^#([0-9a-f]{6}|[0-9a-f]{8})$/i.test(color)) {
      throw new NodeException("ValueError", "Color must be in format #RRGGBB or #RRGGBBAA");
    }
    const alpha = color.length === 9 ? Number.parseInt(color.slice(7), 16) / 255 : 1;
    const shown = color.slice(0, 7);
    return {
      outputs: [plain(Number.parseInt(shown.slice(1), 16)), plain(shown), plain(new PythonFloat(alpha))],
    };
  },
  CurveEditor: (run) => ({ outputs: [opaque("CURVE", curveText(plainInput(run, "curve") ?? null))] }),
};

function passValue(run: NodeRun): NodeResult {
  return { outputs: [plain(plainInput(run, "value") ?? null)] };
}

function plainOf(value: NodeValue): PythonValue {
  return value.kind === "plain" ? value.value : null;
}

function isTrue(value: NodeValue | undefined): boolean {
  return value !== undefined && (value.kind !== "plain" || isTruthy(value.value));
}

function numbersOf(result: PythonValue, expression: string): NodeValue[] {
  const isNumber =
    typeof result === "number" ||
    typeof result === "bigint" ||
    typeof result === "boolean" ||
    result instanceof PythonFloat;
  const where = `Math Expression '${expression}'`;
  if (!isNumber) {
    const found = `got ${pythonTypeName(result)}: ${pythonRepr(result)}`;
    throw new NodeException("ValueError", `${where} must evaluate to a numeric result, ${found}`);
  }
  const float = toPythonFloat(result);
  if (!Number.isFinite(float.value)) {
    throw new NodeException("ValueError", `${where} produced a non-finite result: ${pythonText(result)}`);
  }
  return [plain(float), plain(toPythonInt(result)), plain(isTruthy(result))];
}

function convertNumber(run: NodeRun): NodeResult {
  const value = plainInput(run, "value") ?? null;
  const both = (float: PythonFloat, int: number | bigint): NodeResult => {
    if (!Number.isFinite(float.value)) {
      const shown = pythonText(float);
      throw new NodeException("ValueError", `Cannot convert non-finite value to number: ${shown}`);
    }
    return { outputs: [plain(float), plain(int)] };
  };
  if (typeof value !== "string") {
    if (value === null || Array.isArray(value) || isDict(value)) {
      throw new NodeException("TypeError", `Unsupported input type: ${pythonTypeName(value)}`);
    }
    const float = toPythonFloat(value);
    return both(float, Number.isFinite(float.value) ? toPythonInt(value) : 0);
  }
  if (value.trim() === "") throw new NodeException("ValueError", "Cannot convert empty string to number.");
  const float = attempt(() => toPythonFloat(value));
  if (float === undefined) {
    throw new NodeException("ValueError", `Cannot convert string to number: ${pythonRepr(value)}`);
  }
  return both(float, attempt(() => toPythonInt(value)) ?? Math.trunc(float.value));
}

function attempt<T>(convert: () => T): T | undefined {
  try {
    return convert();
  } catch {
    return undefined;
  }
}

/** How Python prints a curve: points as they came, smooth unless it says otherwise. */
function curveText(curve: PythonValue): string {
  const points = isDict(curve) ? (curve.get("points") ?? null) : curve;
  const isLinear = isDict(curve) && curve.get("interpolation") === "linear";
  const pairs = (Array.isArray(points) ? points : []).map((point) => {
    const [x, y] = (Array.isArray(point) ? point : []).map((part) => pythonText(toPythonFloat(part)));
    return `(${x ?? "0.0"}, ${y ?? "0.0"})`;
  });
  return `${isLinear ? "LinearCurve" : "MonotoneCubicCurve"}(points=[${pairs.join(", ")}])`;
}
