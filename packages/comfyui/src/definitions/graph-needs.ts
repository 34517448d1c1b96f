import { liveInputsOf } from "../classes/dynamic-inputs.ts";
import { listOf, specOf, type NodeDefinition, type ObjectInfo } from "../classes/object-info.ts";
import { type Workflow, type WorkflowNode } from "../graph/workflow.ts";

/** A value that must be in a server's list, with the file names of models among them. */
export interface NeededModel {
  nodeId: string;
  classType: string;
  input: string;
  /** The file as the graph names it, for example `counterfeit_v3.safetensors`. */
  name: string;
  /** All inputs of the node; the members of its dynamic inputs depend on them. */
  inputs: Readonly<Record<string, unknown>>;
}

export interface GraphNeeds {
  /** Node classes, each once, sorted. */
  classTypes: string[];
  models: NeededModel[];
}

const modelFile = /\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$/i;

/**
 * What a server must have to run the graph: node classes and model files. With object info only inputs that are lists
 * there count as models; without it every string that looks like a model file does.
 */
export function needsOf(workflow: Workflow, objectInfo?: ObjectInfo): GraphNeeds {
  const classTypes = new Set<string>();
  const models: NeededModel[] = [];
  for (const [nodeId, { class_type: classType, inputs }] of Object.entries(workflow)) {
    classTypes.add(classType);
    const definition = objectInfo === undefined ? undefined : definitionOf(objectInfo, classType);
    for (const [input, value] of Object.entries(inputs)) {
      if (typeof value !== "string" || !modelFile.test(value)) continue;
      if (definition !== undefined && listOfInput(definition, inputs, input) === undefined) continue;
      models.push({ nodeId, classType, input, name: value, inputs });
    }
  }
  return { classTypes: [...classTypes].sort(), models };
}

/**
 * Returns the needs that a server does not meet. If both lists are empty, the server can run the graph as far as
 * classes and models show.
 */
export function missingFrom(needs: GraphNeeds, objectInfo: ObjectInfo): GraphNeeds {
  return {
    classTypes: needs.classTypes.filter((classType) => !Object.hasOwn(objectInfo, classType)),
    models: needs.models.filter(({ classType, input, name, inputs }) => {
      const definition = definitionOf(objectInfo, classType);
      const list = definition === undefined ? undefined : listOfInput(definition, inputs, input);
      return list !== undefined && !list.includes(name);
    }),
  };
}

/**
 * The values that the list of a node's input has on a server; `undefined` for inputs that are no lists there, and for
 * classes that it does not have.
 */
export function choicesOf(
  { class_type: classType, inputs }: WorkflowNode,
  input: string,
  objectInfo: ObjectInfo,
): readonly unknown[] | undefined {
  const definition = definitionOf(objectInfo, classType);
  return definition === undefined ? undefined : listOfInput(definition, inputs, input);
}

function definitionOf(objectInfo: ObjectInfo, classType: string): NodeDefinition | undefined {
  return Object.hasOwn(objectInfo, classType) ? objectInfo[classType] : undefined;
}

/** The values that an input accepts, members of dynamic inputs too; `undefined` for inputs that are no lists. */
function listOfInput(
  definition: NodeDefinition,
  inputs: Readonly<Record<string, unknown>>,
  input: string,
): readonly unknown[] | undefined {
  const spec = specOf({ input: liveInputsOf(definition, inputs) }, input);
  return spec === undefined ? undefined : listOf(spec);
}
