import { BaseEdge, type Edge, type EdgeProps } from "@xyflow/react";
import { type ReactNode } from "react";
import { edgeId, type Layout, type LinkedNode, pathOf, type Point } from "./layout-graph.ts";

type RoutedEdge = Edge<{ crossings: readonly Point[] }, "routed">;

/** The edges of the nodes, along the ways that the layout gives them. */
export function routedEdges(nodes: readonly LinkedNode[], { crossings }: Layout): RoutedEdge[] {
  return nodes.flatMap(({ id, needs }) =>
    needs.map((needed): RoutedEdge => {
      const key = edgeId(needed, id);
      const data = { crossings: crossings.get(key) ?? [] };
      return { ...{ id: key, type: "routed", source: needed, target: id, focusable: false }, data };
    }),
  );
}

const stroke = { stroke: "var(--mantine-color-dimmed)", strokeWidth: 1.5 };

function DrawnEdge({ id, sourceX, sourceY, targetX, targetY, data }: EdgeProps<RoutedEdge>): ReactNode {
  const from = { x: sourceX, y: sourceY };
  const to = { x: targetX, y: targetY };
  return <BaseEdge id={id} path={pathOf(from, data?.crossings ?? [], to)} style={stroke} />;
}

export const edgeTypes = { routed: DrawnEdge };
