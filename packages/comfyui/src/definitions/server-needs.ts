import { type ObjectInfo } from "../classes/object-info.ts";
import { type Workflow } from "../graph/workflow.ts";
import { missingFrom, needsOf } from "./graph-needs.ts";
import { mainModelOf } from "./main-model.ts";

/** A model file that a server's list for this input must have. */
export interface ListedModel {
  classType: string;
  input: string;
  name: string;
}

/** What decides which servers can run a graph, without its other values. */
export interface ServerNeeds {
  /** The result of `mainModelOf`. */
  mainModel: string | null;
  /** Each once, sorted. */
  classTypes: string[];
  /** Each once, sorted. */
  models: ListedModel[];
}

/**
 * What a server must have to run the graph, equal for graphs that the same servers can run.
 *
 * @param objectInfo of a server that can run the graph. Files that its lists do not have are not needed: it loads them
 * from elsewhere, or does not load them. Absent while no server is known; then everything counts that looks like a model.
 */
export function serverNeedsOf(workflow: Workflow, objectInfo?: ObjectInfo): ServerNeeds {
  const needs = needsOf(workflow, objectInfo);
  const notListed = new Set(objectInfo === undefined ? [] : missingFrom(needs, objectInfo).models);
  const models = new Map<string, ListedModel>();
  for (const needed of needs.models) {
    if (notListed.has(needed)) continue;
    const { classType, input, name } = needed;
    models.set(JSON.stringify([classType, input, name]), { classType, input, name });
  }
  return {
    mainModel: mainModelOf(needsOf(workflow).models),
    classTypes: needs.classTypes,
    models: [...models.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, model]) => model),
  };
}
