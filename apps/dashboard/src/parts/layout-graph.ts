import { Graph, layout } from "@dagrejs/dagre";

/** The size of each box. */
export const nodeWidth = 190;
export const nodeHeight = 64;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  /** The upper left corner of each node. */
  readonly places: ReadonlyMap<string, Point>;
  /** By the ids of its two nodes: where each edge that passes other columns of boxes crosses their centres. */
  readonly crossings: ReadonlyMap<string, readonly Point[]>;
}

export interface LinkedNode {
  readonly id: string;
  /** The nodes from which edges lead to it. */
  readonly needs: readonly string[];
}

/** Places the nodes in columns, with the flow from left to right, and each edge between the boxes that it passes. */
export function layOut(nodes: readonly LinkedNode[]): Layout {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 20, edgesep: 12, ranksep: 50 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) graph.setNode(id, { width: nodeWidth, height: nodeHeight });
  for (const { id, needs } of nodes) for (const needed of needs) graph.setEdge(needed, id);
  layout(graph);
  const centres = new Map(
    nodes.map(({ id }) => {
      const { x = 0, y = 0 } = graph.node(id) as Partial<Point>;
      return [id, { x, y }];
    }),
  );
  const columns = [...new Set([...centres.values()].map(({ x }) => x))];
  const crossings = new Map<string, readonly Point[]>();
  for (const { v, w } of graph.edges()) {
    const { points = [] } = graph.edge(v, w) as { points?: readonly Point[] };
    const passed = points.filter(({ x }) => columns.some((column) => Math.abs(column - x) < 1));
    crossings.set(edgeId(v, w), passed);
  }
  const places = new Map(
    [...centres].map(([id, { x, y }]) => [id, { x: x - nodeWidth / 2, y: y - nodeHeight / 2 }]),
  );
  return { places, crossings };
}

export function edgeId(from: string, to: string): string {
  return `${from}→${to}`;
}

/** The path of an edge in SVG: level where it passes a column of boxes, curved only in the gaps between columns. */
export function pathOf(from: Point, crossings: readonly Point[], to: Point): string {
  let path = `M ${from.x} ${from.y}`;
  let last = from;
  const curveTo = (next: Point): void => {
    const middle = (last.x + next.x) / 2;
    path += ` C ${middle} ${last.y} ${middle} ${next.y} ${next.x} ${next.y}`;
    last = next;
  };
  // An edge of a cycle leads from right to left.
  const half = to.x >= from.x ? nodeWidth / 2 : -nodeWidth / 2;
  for (const { x, y } of crossings) {
    curveTo({ x: x - half, y });
    path += ` L ${x + half} ${y}`;
    last = { x: x + half, y };
  }
  curveTo(to);
  return path;
}
