import {
  comparable,
  isTruthy,
  pythonText,
  pythonTypeName,
  type PythonValue,
} from "../python/python-values.ts";
import { NodeException, type NodeRun } from "./node-run.ts";
import { type ImageValue, type LatentValue, type ModelValue, type NodeValue } from "./node-values.ts";

/** The value of an input, if it was given and is a plain value. */
export function plainInput(run: NodeRun, name: string): PythonValue | undefined {
  const value = run.inputs.get(name);
  return value?.kind === "plain" ? value.value : undefined;
}

export function numberInput(run: NodeRun, name: string, fallback = 0): number {
  const number = comparable(plainInput(run, name) ?? null);
  return number === undefined ? fallback : Number(number);
}

export function textInput(run: NodeRun, name: string, fallback = ""): string {
  const value = plainInput(run, name);
  return value === undefined ? fallback : pythonText(value);
}

export function flagInput(run: NodeRun, name: string, fallback = false): boolean {
  const value = plainInput(run, name);
  return value === undefined ? fallback : isTruthy(value);
}

/** @throws NodeException if the linked value has another kind, on which the real node would fail */
export function imageInput(run: NodeRun, name: string): ImageValue {
  return imageOf(run.inputs.get(name), name);
}

export function imageOf(value: NodeValue | undefined, name: string): ImageValue {
  if (value?.kind === "image") return value;
  throw missing(name, value);
}

export function latentInput(run: NodeRun, name: string): LatentValue {
  return latentOf(run.inputs.get(name), name);
}

export function latentOf(value: NodeValue | undefined, name: string): LatentValue {
  if (value?.kind === "latent") return value;
  throw missing(name, value);
}

export function modelInput(run: NodeRun, name: string): ModelValue {
  const value = run.inputs.get(name);
  if (value?.kind === "model") return value;
  throw missing(name, value);
}

/** The members of a dynamic group, by their own names, in the order of the definition. */
export function groupMembers(run: NodeRun, group: string): [string, NodeValue][] {
  return [...run.members].flatMap(([path, value]): [string, NodeValue][] =>
    path.startsWith(`${group}.`) ? [[path.slice(group.length + 1), value]] : [],
  );
}

function missing(name: string, value: NodeValue | undefined): NodeException {
  if (value?.kind === "plain" && value.value !== null) {
    return new NodeException(
      "AttributeError",
      `'${pythonTypeName(value.value)}' object has no attribute 'shape'`,
    );
  }
  const found = value === undefined || value.kind === "plain" ? "NoneType" : value.kind;
  return new NodeException(
    "AttributeError",
    `'${found}' object has no attribute 'shape'${value ? "" : ` (${name})`}`,
  );
}
