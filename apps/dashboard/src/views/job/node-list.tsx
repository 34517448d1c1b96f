import { type Job } from "@genga/client";
import { Group, ScrollArea, Stack, Text } from "@mantine/core";
import { type ReactNode } from "react";
import { focusable } from "../../parts/focusable.ts";
import { type GraphNode, type NodeState } from "./graph-layout.ts";
import { nodeElementId } from "./node-element.ts";
import { NodeProgress } from "./node-progress.tsx";
import { StateIcon } from "./node-state.tsx";

/** The same as the graph, for a narrow screen or a screen reader: what runs first stands first. */
export function NodeList({
  job,
  nodes,
  states,
}: {
  job: Job;
  nodes: readonly GraphNode[];
  states: ReadonlyMap<string, NodeState>;
}): ReactNode {
  return (
    <ScrollArea h={320} type="auto" viewportProps={focusable("Nodes of the graph")}>
      <Stack component="ol" gap={4} m={0} p={0} style={{ listStyle: "none" }}>
        {nodes.map(({ id, title, classType }) => {
          const state = states.get(id) ?? "waiting";
          return (
            <li key={id} id={nodeElementId(id)} tabIndex={-1}>
              <Group gap="xs" wrap="nowrap" mih={28}>
                <StateIcon state={state} />
                <Text size="sm" w={64} style={{ flex: "none" }}>
                  {state}
                </Text>
                <Text size="sm" style={{ overflowWrap: "anywhere", minWidth: 0, flex: 1 }}>
                  {id}: {title}
                  {title !== classType && (
                    <Text span size="xs" c="dimmed">
                      {" "}
                      {classType}
                    </Text>
                  )}
                </Text>
                {state === "running" && <NodeProgress job={job} width={120} />}
              </Group>
            </li>
          );
        })}
      </Stack>
    </ScrollArea>
  );
}
