import { z } from "zod";

/** Slots of a subgraph are linked to these two nodes, which stand for its own inputs and outputs. */
export const subgraphInputId = "-10";
export const subgraphOutputId = "-20";

const idSchema = z.union([z.number(), z.string()]).transform(String);

const inputSchema = z.looseObject({
  name: z.string(),
  type: z.unknown(),
  link: idSchema.nullish(),
  widget: z.looseObject({ name: z.string() }).nullish().catch(undefined),
});
const outputSchema = z.looseObject({ name: z.string().catch(""), type: z.unknown() });
const valuesSchema = z.record(z.string(), z.unknown());

const nodeSchema = z.looseObject({
  id: idSchema,
  type: z.string(),
  mode: z.number().catch(0),
  title: z.string().optional().catch(undefined),
  inputs: z.array(inputSchema).catch([]),
  outputs: z.array(outputSchema).catch([]),
  widgets_values: z
    .union([z.array(z.unknown()), valuesSchema])
    .nullish()
    .catch(undefined),
  widgets_values_named: valuesSchema.nullish().catch(undefined),
});

/** Version 0.4 keeps a link at the top level as a list of six; version 1, and subgraphs, as an object. */
const linkSchema = z.union([
  z
    .tuple([idSchema, idSchema, z.number(), idSchema, z.number()])
    .rest(z.unknown())
    .transform(([id, fromNode, fromSlot, toNode, toSlot, type]) => ({
      ...{ id, fromNode, fromSlot, toNode, toSlot, type },
    })),
  z
    .looseObject({
      id: idSchema,
      origin_id: idSchema,
      origin_slot: z.number(),
      target_id: idSchema,
      target_slot: z.number(),
      type: z.unknown(),
    })
    .transform((link) => ({
      ...{ id: link.id, fromNode: link.origin_id, fromSlot: link.origin_slot },
      ...{ toNode: link.target_id, toSlot: link.target_slot, type: link.type },
    })),
]);

const graphShape = {
  nodes: z.array(nodeSchema).max(20_000),
  links: z.array(linkSchema.nullable().catch(null)).max(100_000).catch([]),
};
const subgraphSchema = z.looseObject({
  ...graphShape,
  id: z.string(),
  inputs: z.array(z.looseObject({ name: z.string() })).catch([]),
  outputs: z.array(z.looseObject({ name: z.string() })).catch([]),
});
const workflowSchema = z.looseObject({
  ...graphShape,
  definitions: z
    .looseObject({ subgraphs: z.array(subgraphSchema).optional() })
    .nullish()
    .catch(undefined),
});

export type EditorNode = z.output<typeof nodeSchema>;
export type EditorLink = Exclude<z.output<typeof linkSchema>, null>;

/** Nodes and links of one level, by id. */
export interface EditorGraph {
  nodes: ReadonlyMap<string, EditorNode>;
  links: ReadonlyMap<string, EditorLink>;
}

export interface Subgraph extends EditorGraph {
  inputs: readonly { name: string }[];
  outputs: readonly { name: string }[];
}

/** A file of ComfyUI's editor, read as far as a conversion needs it. */
export interface EditorWorkflow extends EditorGraph {
  subgraphs: ReadonlyMap<string, Subgraph>;
}

/** Reads a file of the editor; `undefined` if the value is not one. Links that cannot be read are left out. */
export function readEditorWorkflow(value: unknown): EditorWorkflow | undefined {
  const parsed = workflowSchema.safeParse(value).data;
  if (parsed === undefined) return undefined;
  const subgraphs = (parsed.definitions?.subgraphs ?? []).map((each): [string, Subgraph] => [
    each.id,
    { ...graphOf(each), inputs: each.inputs, outputs: each.outputs },
  ]);
  return { ...graphOf(parsed), subgraphs: new Map(subgraphs) };
}

function graphOf(read: { nodes: EditorNode[]; links: (EditorLink | null)[] }): EditorGraph {
  return {
    nodes: new Map(read.nodes.map((node) => [node.id, node])),
    links: new Map(read.links.flatMap((link) => (link === null ? [] : [[link.id, link]]))),
  };
}
