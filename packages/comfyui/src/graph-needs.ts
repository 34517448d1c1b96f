import { listOf, type ObjectInfo } from "./object-info.ts";
import type { Workflow } from "./workflow.ts";

/** A value that must be in a server's list, with the file names of models among them. */
export interface NeededModel {
  nodeId: string;
  classType: string;
  input: string;
  /** The file as the graph names it, for example `counterfeit_v3.safetensors`. */
  name: string;
}

export interface GraphNeeds {
  /** Node classes, each once, sorted. */
  classTypes: string[];
  models: NeededModel[];
}

const MODEL_FILE = /\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$/i;

/**
 * What a server must have to run the graph: node classes and model files. With object info only inputs that are lists
 * there count as models; without it every string that looks like a model file does.
 */
export function needsOf(workflow: Workflow, objectInfo?: ObjectInfo): GraphNeeds {
  const classTypes = new Set<string>();
  const models: NeededModel[] = [];
  for (const [nodeId, { class_type: classType, inputs }] of Object.entries(workflow)) {
    classTypes.add(classType);
    for (const [input, value] of Object.entries(inputs)) {
      if (typeof value !== "string" || !MODEL_FILE.test(value)) continue;
      const definition = objectInfo?.[classType];
      const spec = definition?.input.required[input] ?? definition?.input.optional[input];
      if (definition !== undefined && (spec === undefined || listOf(spec) === undefined)) continue;
      models.push({ nodeId, classType, input, name: value });
    }
  }
  return { classTypes: [...classTypes].sort(), models };
}

/** What of that a server lacks. Both lists empty = it can run the graph as far as classes and models go. */
export function missingFrom(needs: GraphNeeds, objectInfo: ObjectInfo): GraphNeeds {
  return {
    classTypes: needs.classTypes.filter((classType) => !Object.hasOwn(objectInfo, classType)),
    models: needs.models.filter(({ classType, input, name }) => {
      const definition = objectInfo[classType];
      const spec = definition?.input.required[input] ?? definition?.input.optional[input];
      const list = spec === undefined ? undefined : listOf(spec);
      return list !== undefined && !list.includes(name);
    }),
  };
}
