import "@xyflow/react/dist/style.css";
import { Box, useComputedColorScheme } from "@mantine/core";
import { Background, Controls, ReactFlow, type Node, type ReactFlowProps } from "@xyflow/react";
import { type ReactNode } from "react";
import { edgeTypes } from "./routed-edge.tsx";

/** A drawn graph that can be moved and zoomed, and in which nothing can be changed. */
export function ShownFlow<Drawn extends Node>({
  label,
  ...flow
}: ReactFlowProps<Drawn> & { label: string }): ReactNode {
  const scheme = useComputedColorScheme();
  return (
    <Box h={{ base: 320, md: 400 }} role="region" aria-label={label}>
      <ReactFlow
        colorMode={scheme}
        edgeTypes={edgeTypes}
        fitView
        fitViewOptions={{ maxZoom: 1 }}
        minZoom={0.05}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        preventScrolling={false}
        zoomOnScroll={false}
        {...flow}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </Box>
  );
}
