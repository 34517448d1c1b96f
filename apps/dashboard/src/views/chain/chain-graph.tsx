import { Box } from "@mantine/core";
import { Handle, Position, type Node, type NodeProps } from "@xyflow/react";
import { memo, useMemo, type ReactNode } from "react";
import { type ChainJob } from "../../connection/queries.ts";
import { layOut, type LinkedNode, nodeHeight, nodeWidth } from "../../parts/layout-graph.ts";
import { routedEdges } from "../../parts/routed-edge.tsx";
import { ShownFlow } from "../../parts/shown-flow.tsx";
import { ChainJobLink, ChainStatus } from "./chain-job.tsx";

type Drawn = Node<{ job: ChainJob; isShown: boolean }, "job">;

/** Who waits for whom, from left to right; each job leads to its page. */
export function ChainGraph({
  jobs,
  shownId,
}: {
  jobs: readonly ChainJob[];
  shownId: string | undefined;
}): ReactNode {
  // Only ids and needs decide over places, so that nothing moves when a status changes.
  const shape = JSON.stringify(jobs.map(({ id, needs }) => ({ id, needs })));
  const layout = useMemo(() => layOut(JSON.parse(shape) as LinkedNode[]), [shape]);
  const drawn = jobs.map((job): Drawn => ({
    ...{ id: job.id, type: "job", width: nodeWidth, height: nodeHeight },
    data: { job, isShown: job.id === shownId },
    position: layout.places.get(job.id) ?? { x: 0, y: 0 },
  }));
  const running = new Set(jobs.filter(({ status }) => status === "processing").map(({ id }) => id));
  const edges = routedEdges(jobs, layout).map((edge) => ({ ...edge, animated: running.has(edge.target) }));
  return (
    <ShownFlow
      label="The chain of jobs"
      nodes={drawn}
      edges={edges}
      nodeTypes={nodeTypes}
      nodesFocusable={false}
      elementsSelectable={false}
    />
  );
}

const DrawnJob = memo(function DrawnJob({ data: { job, isShown } }: NodeProps<Drawn>): ReactNode {
  return (
    <Box
      bg="var(--mantine-color-body)"
      h={nodeHeight}
      px={8}
      py={6}
      style={{
        borderRadius: 6,
        border: isShown
          ? "2px solid var(--mantine-color-blue-text)"
          : "1px solid var(--mantine-color-dimmed)",
        overflow: "hidden",
      }}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <ChainJobLink job={job} isShown={isShown} size="xs" />
      <ChainStatus status={job.status} />
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </Box>
  );
});

const nodeTypes = { job: DrawnJob };
