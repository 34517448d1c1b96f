import { LRUCache } from "lru-cache";
import { numberOf } from "../json/exact-json.ts";
import { liveInputsOf } from "../classes/dynamic-inputs.ts";
import { isFileList } from "../classes/file-lists.ts";
import { inputsReadAhead } from "./foreseeable-failures.ts";
import { checkValue } from "./input-values.ts";
import {
  isUploadInput,
  listOf,
  specOf,
  type InputSpec,
  type NodeDefinition,
  type ObjectInfo,
} from "../classes/object-info.ts";
import { linkOf, type Workflow, type WorkflowNode } from "../graph/workflow.ts";

/** Of each set of definitions this many graphs are remembered; the least recently used ones are forgotten first. */
const likenessesMax = 500;
/** A longer likeness is that of a very large graph, which would take much memory. In characters. */
const likenessLengthMax = 32 * 1024;

/**
 * Remembers which graphs had nothing to be remarked on, so that a graph which differs from one of them only in values
 * that no check reads is not checked again. Such values are prompts, seeds, steps and the like: see `likenessOf`.
 */
export class FaultlessGraphs {
  readonly #likenesses = new LRUCache<string, true>({ max: likenessesMax });
  readonly #inputs = new Map<string, ReadonlyMap<string, InputSpec>>();

  has(likeness: string): boolean {
    return this.#likenesses.has(likeness);
  }

  add(likeness: string): void {
    this.#likenesses.set(likeness, true);
  }

  /**
   * A text that is the same for two graphs only if every check that `validateGraph` makes of one has the same result as
   * for the other, provided that one of them is faultless. It holds the whole graph, with a mark in place of each value
   * that no check reads beyond what was checked here:
   *
   * - any text for an input of the plain type STRING;
   * - a number for an INT or a FLOAT that `checkValue` accepts without a remark (it is asked for each number).
   *
   * Inputs that `foreseeable-failures.ts` reads are kept as they are, and so are all inputs of classes with inputs that
   * depend on values. `undefined` = the graph has something that is not told apart here, and is to be checked.
   */
  likenessOf(workflow: Workflow, objectInfo: ObjectInfo): string | undefined {
    const parts: string[] = [];
    let length = 0;
    for (const [nodeId, node] of Object.entries(workflow)) {
      const inputs = this.#replaceableInputs(node, objectInfo);
      if (inputs === undefined) return undefined;
      parts.push(nodeId, node.class_type);
      for (const [input, value] of Object.entries(node.inputs)) {
        const part = likenessOfValue(value, inputs.get(input));
        if (part === undefined) return undefined;
        parts.push(input, part);
        length += part.length + input.length;
        if (length > likenessLengthMax) return undefined;
      }
      parts.push("");
    }
    return JSON.stringify(parts);
  }

  /** The inputs of the node's class whose values may be replaced by a mark. */
  #replaceableInputs(
    { class_type: classType }: WorkflowNode,
    objectInfo: ObjectInfo,
  ): ReadonlyMap<string, InputSpec> | undefined {
    const known = this.#inputs.get(classType);
    if (known !== undefined) return known;
    const definition = Object.hasOwn(objectInfo, classType) ? objectInfo[classType] : undefined;
    if (definition?.areInputsKnown !== true) return undefined;
    const inputs = new Map(replaceableInputsOf(classType, definition));
    this.#inputs.set(classType, inputs);
    return inputs;
  }
}

function replaceableInputsOf(classType: string, definition: NodeDefinition): [string, InputSpec][] {
  if (liveInputsOf(definition, {}).dynamic.length > 0) return [];
  const { required, optional } = definition.input;
  return [...Object.keys(required), ...Object.keys(optional)].flatMap((input): [string, InputSpec][] => {
    const spec = specOf(definition, input);
    if (spec === undefined || definition.unreadableInputs.has(input) || inputsReadAhead.has(input)) return [];
    const isPlain = listOf(spec) === undefined && !isFileList(spec) && !isUploadInput(classType, input, spec);
    return isPlain && (spec[0] === "STRING" || spec[0] === "INT" || spec[0] === "FLOAT")
      ? [[input, spec]]
      : [];
  });
}

/** Marks begin with a letter, and JSON of the values that are kept does not. */
function likenessOfValue(value: unknown, replaceable: InputSpec | undefined): string | undefined {
  if (typeof value === "string") return replaceable?.[0] === "STRING" ? "text" : JSON.stringify(value);
  if (typeof value === "boolean") return value ? "[true]" : "[false]";
  if (numberOf(value) !== undefined) {
    if (replaceable !== undefined && replaceable[0] !== "STRING" && isRemarkless(value, replaceable))
      return "number";
    return typeof value === "number" ? JSON.stringify([value]) : undefined;
  }
  // The slot of a link may be an exact number, which JSON would write like another number.
  const isLink = linkOf(value) !== undefined && Array.isArray(value) && typeof value[1] !== "object";
  return isLink ? JSON.stringify(value) : undefined;
}

function isRemarkless(value: unknown, spec: InputSpec): boolean {
  return Object.keys(checkValue(value, spec, { isRequired: true, isOwnClass: true })).length === 0;
}
