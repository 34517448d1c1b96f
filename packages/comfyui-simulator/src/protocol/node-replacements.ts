import { type NodeCatalog } from "../nodes/node-catalog.ts";
import { type PythonJson } from "../python/python-json.ts";
import { isDict, PythonError, type PythonDict, type PythonValue } from "../python/python-values.ts";

/** How one input of the new class gets its value. */
type InputRule =
  | { readonly new_id: string; readonly old_id: string }
  | { readonly new_id: string; readonly set_value: string };

interface Replacement {
  readonly to: string;
  readonly oldWidgets?: readonly string[];
  readonly inputs?: readonly InputRule[];
  readonly keepsOutputs?: boolean;
}

/** What `GET /node_replacements` of a server of 0.28.0 lists, by the name of the old class. */
const replacements: ReadonlyMap<string, Replacement> = new Map<string, Replacement>([
  [
    "ResizeImagesByLongerEdge",
    {
      to: "ImageScaleToMaxDimension",
      oldWidgets: ["longer_edge"],
      inputs: [
        { new_id: "image", old_id: "images" },
        { new_id: "largest_size", old_id: "longer_edge" },
        { new_id: "upscale_method", set_value: "lanczos" },
      ],
      keepsOutputs: true,
    },
  ],
  [
    "ImageBatch",
    {
      to: "BatchImagesNode",
      inputs: [
        { new_id: "images.image0", old_id: "image1" },
        { new_id: "images.image1", old_id: "image2" },
      ],
    },
  ],
  [
    "ImageScaleBy",
    {
      to: "ResizeImageMaskNode",
      oldWidgets: ["upscale_method", "scale_by"],
      inputs: [
        { new_id: "input", old_id: "image" },
        { new_id: "resize_type", set_value: "scale by multiplier" },
        { new_id: "resize_type.multiplier", old_id: "scale_by" },
        { new_id: "scale_method", old_id: "upscale_method" },
      ],
    },
  ],
  [
    "T2IAdapterLoader",
    { to: "ControlNetLoader", inputs: [{ new_id: "control_net_name", old_id: "t2i_adapter_name" }] },
  ],
  ["Load3DAnimation", { to: "Load3D" }],
  ["Preview3DAnimation", { to: "Preview3D" }],
  ["SDV_img2vid_Conditioning", { to: "SVD_img2vid_Conditioning" }],
  ["ConditioningAverage ", { to: "ConditioningAverage" }],
]);

/** The body of `GET /node_replacements`. */
export function replacementsJson(): PythonJson {
  return new Map(
    [...replacements].map(([oldName, { to, oldWidgets, inputs, keepsOutputs }]): [string, PythonJson] => [
      oldName,
      [
        {
          new_node_id: to,
          old_node_id: oldName,
          old_widget_ids: oldWidgets ?? null,
          input_mapping: inputs?.map((rule) => ({ ...rule })) ?? null,
          output_mapping: keepsOutputs === true ? [{ new_idx: 0, old_idx: 0 }] : null,
        },
      ],
    ]),
  );
}

/**
 * Replaces old classes that are not installed by their newer classes, in place (PROTOCOL-0.28, 1).
 * @throws PythonError where the server's own code raises, e.g. for such a node without `_meta`
 */
export function applyReplacements(graph: PythonValue, catalog: NodeCatalog): void {
  if (!isDict(graph)) throw new PythonError("AttributeError", "object has no attribute 'items'");
  const replaced: [string, PythonDict, Replacement][] = [];
  for (const [nodeId, node] of graph) {
    if (!isDict(node)) throw new PythonError("TypeError", "argument is not iterable");
    const [classType, inputs] = [node.get("class_type"), node.get("inputs")];
    if (classType === undefined || inputs === undefined) continue;
    const replacement = typeof classType === "string" ? replacements.get(classType) : undefined;
    if (replacement && typeof classType === "string" && catalog.get(classType) === undefined) {
      replaced.push([nodeId, node, replacement]);
    }
    if (!isDict(inputs)) throw new PythonError("AttributeError", "object has no attribute 'items'");
  }
  for (const [nodeId, node, replacement] of replaced) {
    if (catalog.get(replacement.to) !== undefined) graph.set(nodeId, replacedNode(node, replacement));
  }
}

function replacedNode(node: PythonDict, { to, inputs = [] }: Replacement): PythonDict {
  const meta = node.get("_meta");
  if (!isDict(meta ?? null)) throw new PythonError("KeyError", "'_meta'");
  const given = node.get("inputs") ?? null;
  const found = new Map<string, PythonValue>();
  for (const rule of inputs) {
    if ("set_value" in rule) found.set(rule.new_id, rule.set_value);
    else {
      const value = isDict(given) ? given.get(rule.old_id) : undefined;
      if (value === undefined) throw new PythonError("KeyError", `'${rule.old_id}'`);
      found.set(rule.new_id, value);
    }
  }
  return new Map([...node, ["class_type", to], ["inputs", found]]);
}
