import { type Job } from "@genga/client";
import { Box, Group, Text } from "@mantine/core";
import { Handle, Position, type Node, type NodeProps } from "@xyflow/react";
import { memo, useMemo, type ReactNode } from "react";
import { layOut, nodeHeight, nodeWidth } from "../../parts/layout-graph.ts";
import { routedEdges } from "../../parts/routed-edge.tsx";
import { ShownFlow } from "../../parts/shown-flow.tsx";
import { type GraphNode, type NodeState } from "./graph-layout.ts";
import { nodeElementId } from "./node-element.ts";
import { NodeProgress } from "./node-progress.tsx";
import { StateIcon, stateColours } from "./node-state.tsx";

type Drawn = Node<{ node: GraphNode; state: NodeState; job: Job }, "drawn">;

/** The graph, from left to right. It can be moved and zoomed, and read by Tab; nothing in it can be changed. */
export function WorkflowGraph({
  job,
  nodes,
  states,
}: {
  job: Job;
  nodes: readonly GraphNode[];
  states: ReadonlyMap<string, NodeState>;
}): ReactNode {
  const layout = useMemo(() => layOut(nodes), [nodes]);
  const drawn = nodes.map((node): Drawn => {
    const state = states.get(node.id) ?? "waiting";
    return {
      ...{ id: node.id, type: "drawn", width: nodeWidth, height: nodeHeight, data: { node, state, job } },
      position: layout.places.get(node.id) ?? { x: 0, y: 0 },
      ariaLabel: `Node ${node.id}, ${node.title}: ${state}`,
    };
  });
  const edges = useMemo(() => routedEdges(nodes, layout), [nodes, layout]);
  return (
    <ShownFlow
      label="The graph of the job"
      nodes={drawn}
      edges={edges}
      nodeTypes={nodeTypes}
      onlyRenderVisibleElements={nodes.length > 100}
    />
  );
}

const DrawnNode = memo(function DrawnNode({ data: { node, state, job } }: NodeProps<Drawn>): ReactNode {
  return (
    <Box
      id={nodeElementId(node.id)}
      tabIndex={-1}
      bg="var(--mantine-color-body)"
      h={nodeHeight}
      px={8}
      py={6}
      style={{
        borderRadius: 6,
        border: `${state === "waiting" ? 1 : 2}px solid ${stateColours[state]}`,
        overflow: "hidden",
      }}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <Group gap={6} wrap="nowrap">
        <StateIcon state={state} />
        <Text size="xs" fw={600} truncate title={node.title}>
          {node.title}
        </Text>
      </Group>
      <Text size="xs" c="dimmed" truncate title={node.classType}>
        {node.id}: {node.classType}
      </Text>
      {state === "running" && <NodeProgress job={job} width="100%" />}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </Box>
  );
});

const nodeTypes = { drawn: DrawnNode };
