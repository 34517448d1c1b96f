import { isObject } from "../json/is-object.ts";

/**
 * The two forms in which ComfyUI's editor writes a graph: the API format, which servers run, and the editor's own, which
 * keeps positions, colours and links apart and which no server runs. Both are JSON files with the same ending, so
 * people often have the wrong one at hand.
 */

/** Whether this is meant as a graph in API format, valid or not: one of its values has a `class_type`. */
export function looksLikeGraph(value: unknown): boolean {
  if (!isObject(value)) return false;
  return Object.values(value).some((node) => isObject(node) && typeof node["class_type"] === "string");
}

/**
 * Whether this is the editor's own format: `nodes` is a list. Version 0.4 keeps links as lists of six, version 1 as
 * objects; both may have subgraphs in `definitions.subgraphs`.
 */
export function looksLikeEditorFormat(value: unknown): boolean {
  if (!isObject(value) || !Array.isArray(value["nodes"])) return false;
  return (
    Array.isArray(value["links"]) ||
    isObject(value["definitions"]) ||
    value["nodes"].some((node) => isObject(node) && "id" in node && typeof node["type"] === "string")
  );
}

/** How to export the format that servers run from the editor; a whole sentence. */
export const howToExport =
  "Export it in the API format: in today's ComfyUI with the menu Workflow → Export (API); in an older one switch on " +
  "the dev mode options in the settings, then use “Save (API Format)”.";
