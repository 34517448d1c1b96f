import { z } from "zod";

import { type ObjectInfo } from "../classes/object-info.ts";
import { linkOf, type Workflow } from "../graph/workflow.ts";

/** How a server replaces nodes of a class that it no longer has. */
export interface NodeReplacement {
  newClass: string;
  /** Where the value of each input of the new node comes from; `null`: the new node gets no inputs. */
  inputs: readonly InputMapping[] | null;
  /** Output slots with a new number; all other slots keep their number. */
  outputs: readonly OutputMapping[];
}

export type InputMapping = { newId: string; oldId: string } | { newId: string; value: unknown };

export interface OutputMapping {
  oldSlot: number;
  newSlot: number;
}

/** Old class → the replacement. */
export type NodeReplacements = Readonly<Record<string, NodeReplacement>>;

const inputMappingSchema = z.union([
  z
    .object({ new_id: z.string(), set_value: z.unknown() })
    .refine((mapping) => "set_value" in mapping)
    .transform((mapping): InputMapping => ({ newId: mapping.new_id, value: mapping.set_value })),
  z
    .object({ new_id: z.string(), old_id: z.string() })
    .transform((mapping): InputMapping => ({ newId: mapping.new_id, oldId: mapping.old_id })),
]);

const outputMappingSchema = z
  .object({ new_idx: z.number(), old_idx: z.number() })
  .transform((mapping): OutputMapping => ({ oldSlot: mapping.old_idx, newSlot: mapping.new_idx }));

/** A list schema that drops the items it cannot read, and keeps the others. */
function readable<Item>(schema: z.ZodType<Item>): z.ZodType<Item[] | null> {
  return z
    .array(z.unknown())
    .transform((items) =>
      items.flatMap((item) => {
        const parsed = schema.safeParse(item);
        return parsed.success ? [parsed.data] : [];
      }),
    )
    .nullish()
    .transform((items) => items ?? null)
    .catch(null);
}

const nodeReplacementSchema = z
  .object({
    new_node_id: z.string(),
    input_mapping: readable(inputMappingSchema),
    output_mapping: readable(outputMappingSchema),
  })
  .transform((replacement): NodeReplacement => ({
    newClass: replacement.new_node_id,
    inputs: replacement.input_mapping,
    outputs: replacement.output_mapping ?? [],
  }));

/**
 * Reads `GET /node_replacements` (PROTOCOL-0.28 1, recording 42): old class → list, of which the server uses the first.
 * Servers before 0.28 do not have this route and replace no nodes.
 */
export const nodeReplacementsSchema: z.ZodType<NodeReplacements> = z
  .record(z.string(), z.unknown())
  .catch({})
  .transform((classes) =>
    Object.fromEntries(
      Object.entries(classes).flatMap(([oldClass, list]) => {
        const first: unknown = Array.isArray(list) ? list[0] : undefined;
        const parsed = nodeReplacementSchema.safeParse(first);
        return parsed.success ? [[oldClass, parsed.data] as const] : [];
      }),
    ),
  );

/**
 * The replacement that a server uses for a class; `undefined` if the server has the class, or knows no replacement for
 * it.
 */
export function replacementOf(
  classType: string,
  replacements: NodeReplacements,
  objectInfo: ObjectInfo,
): NodeReplacement | undefined {
  if (Object.hasOwn(objectInfo, classType) || !Object.hasOwn(replacements, classType)) return undefined;
  const replacement = replacements[classType];
  return replacement !== undefined && Object.hasOwn(objectInfo, replacement.newClass)
    ? replacement
    : undefined;
}

export interface ReplacedGraph {
  /** The graph that the server judges and runs; the given one if nothing was replaced. */
  workflow: Workflow;
  replaced: { nodeId: string; oldClass: string; newClass: string }[];
  /**
   * Inputs from which a replacement takes its values and which the node lacks. The server answers such a graph with a
   * bare 500.
   */
  missing: { nodeId: string; oldClass: string; newClass: string; input: string }[];
}

/**
 * Changes a graph as a server of 0.28 changes it before validation: nodes of classes that it no longer has become nodes
 * of newer ones, with their inputs renamed, and links to their outputs moved. Errors and `/queue` name the new ones.
 */
export function replaceNodes(
  workflow: Workflow,
  replacements: NodeReplacements,
  objectInfo: ObjectInfo,
): ReplacedGraph {
  const wanted = new Map(
    Object.entries(workflow).flatMap(([nodeId, { class_type: oldClass }]) => {
      const replacement = replacementOf(oldClass, replacements, objectInfo);
      return replacement === undefined ? [] : [[nodeId, { oldClass, ...replacement }] as const];
    }),
  );
  if (wanted.size === 0) return { workflow, replaced: [], missing: [] };
  const slotOf = (nodeId: string, oldSlot: number): number | undefined =>
    wanted.get(nodeId)?.outputs.findLast((mapping) => mapping.oldSlot === oldSlot)?.newSlot;
  const missing: ReplacedGraph["missing"] = [];
  const nodes = Object.entries(workflow).map(([nodeId, node]) => {
    const inputs = moveLinks(node.inputs, slotOf);
    const replacement = wanted.get(nodeId);
    if (replacement === undefined) return [nodeId, { ...node, inputs }] as const;
    const { oldClass, newClass } = replacement;
    const renamed = (replacement.inputs ?? []).flatMap((mapping): [string, unknown][] => {
      if ("value" in mapping) return [[mapping.newId, mapping.value]];
      if (Object.hasOwn(inputs, mapping.oldId)) return [[mapping.newId, inputs[mapping.oldId]]];
      missing.push({ nodeId, oldClass, newClass, input: mapping.oldId });
      return [];
    });
    return [nodeId, { ...node, class_type: newClass, inputs: Object.fromEntries(renamed) }] as const;
  });
  return {
    workflow: Object.fromEntries(nodes),
    replaced: [...wanted].map(([nodeId, { oldClass, newClass }]) => ({ nodeId, oldClass, newClass })),
    missing,
  };
}

function moveLinks(
  inputs: Readonly<Record<string, unknown>>,
  slotOf: (nodeId: string, oldSlot: number) => number | undefined,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs).map(([input, value]) => {
      const link = linkOf(value);
      const slot = link === undefined ? undefined : slotOf(link.nodeId, link.slot);
      return [input, link === undefined || slot === undefined ? value : [link.nodeId, slot]];
    }),
  );
}
