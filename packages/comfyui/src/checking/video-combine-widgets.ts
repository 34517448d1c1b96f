import { type InputProblem } from "../graph/graph-problem.ts";
import { checkValue } from "./input-values.ts";
import { specOf, type InputSpec, type NodeDefinition } from "../classes/object-info.ts";
import { type WorkflowNode } from "../graph/workflow.ts";

/**
 * VideoHelperSuite's combine node takes further inputs that depend on the chosen format (`crf`, `pix_fmt`, …). It
 * describes them in the options of its `format` list: `formats: {"video/h264-mp4": [[name, type or list, options?],
 * …]}`. Returns `undefined` for nodes of other classes.
 */
export function formatWidgetsOf(
  node: WorkflowNode,
  definition: NodeDefinition,
): ReadonlyMap<string, InputSpec> | undefined {
  const formats = specOf(definition, "format")?.[1]?.["formats"];
  const format = node.inputs["format"];
  if (typeof formats !== "object" || formats === null || typeof format !== "string") return undefined;
  const widgets: unknown = Object.hasOwn(formats, format) ? Reflect.get(formats, format) : [];
  return new Map(Array.isArray(widgets) ? widgets.flatMap((widget: unknown) => toEntry(widget)) : []);
}

function toEntry(widget: unknown): [string, InputSpec][] {
  if (!Array.isArray(widget)) return [];
  const [name, type, options] = widget as unknown[];
  if (typeof name !== "string" || (typeof type !== "string" && !Array.isArray(type))) return [];
  const known =
    typeof options === "object" && options !== null && !Array.isArray(options) ? { ...options } : {};
  return [[name, [type, known]]];
}

/** A wrong value here is a warning and not an error: the server runs the graph, and replaces the value. */
export function checkFormatWidgets(value: unknown, widget: InputSpec): { warning?: InputProblem } {
  const { error, warning } = checkValue(value, widget, { isRequired: false, isOwnClass: false });
  const problem = error ?? warning;
  return problem === undefined ? {} : { warning: problem };
}
