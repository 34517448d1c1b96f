import { type SlotType } from "./object-info.ts";
import { isEqualInPython } from "../graph/python-values.ts";

/**
 * The names that node packs give to "any type". For some of them the pack overrides the comparison of types, which
 * `/object_info` does not show.
 */
const anyType = /^(\*|any|anytype|any_type)$/i;
/** The type of a slot that takes the type of whatever is linked; the server compares nothing (PROTOCOL-0.28, 2). */
const matchType = "COMFY_MATCHTYPE_V3";

/** Types of dynamic inputs: placeholders that the server replaces by members before it judges a node. */
const placeholderType = /^COMFY_[A-Z0-9_]+_V\d+$/;
const knownPlaceholders = new Set([
  matchType,
  "COMFY_AUTOGROW_V3",
  "COMFY_DYNAMICCOMBO_V3",
  "COMFY_DYNAMICGROUP_V3",
  "COMFY_DYNAMICSLOT_V3",
]);

/** Whether the type is a placeholder that Genga does not know, from a server that is newer than Genga. */
export function isUnknownPlaceholder(type: SlotType): boolean {
  return typeof type === "string" && placeholderType.test(type) && !knownPlaceholders.has(type);
}

/**
 * Whether an output of one type may be linked to an input of another, as a server compares them: by name; a name may be
 * a union (`INT,FLOAT`), `*` and match types take everything, and a list of choices fits the equal list and `COMBO`.
 */
export function canConnect(received: SlotType, expected: SlotType): boolean {
  if (isEqualInPython(received, expected) || isAny(received) || isAny(expected)) return true;
  if (typeof received !== "string") return expected === "COMBO";
  if (typeof expected !== "string") return false;
  const expectedTypes = namesOf(expected);
  return namesOf(received).some((type) => expectedTypes.includes(type));
}

/** Whether a slot takes or gives every type, as far as the server tells. */
export function isAny(type: SlotType): boolean {
  return (
    typeof type === "string" &&
    (isUnknownPlaceholder(type) || namesOf(type).some((name) => name === matchType || anyType.test(name)))
  );
}

/** The types of a union: `INT,FLOAT` → `INT` and `FLOAT`. */
export function namesOf(type: string): string[] {
  return type.split(",").map((name) => name.trim());
}

/** A type as a message names it. */
export function nameOf(type: SlotType): string {
  return typeof type === "string" ? type : "a choice from a list";
}
