import { Group, ScrollArea, Stack, Text } from "@mantine/core";
import { type ReactNode } from "react";
import { type ChainJob } from "../../connection/queries.ts";
import { focusable } from "../../parts/focusable.ts";
import { ChainJobLink, ChainStatus } from "./chain-job.tsx";
import { nameOf } from "./chain-jobs.ts";

/** The same as the graph, for a narrow screen or a screen reader: what runs first stands first. */
export function ChainList({
  jobs,
  shownId,
}: {
  jobs: readonly ChainJob[];
  shownId: string | undefined;
}): ReactNode {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  return (
    <ScrollArea h={{ base: 320, md: 400 }} type="auto" viewportProps={focusable("Jobs of the chain")}>
      <Stack component="ol" gap={6} m={0} p={0} style={{ listStyle: "none" }}>
        {jobs.map((job) => (
          <Group component="li" key={job.id} gap="sm" wrap="nowrap" mih={28}>
            <ChainStatus status={job.status} />
            <div style={{ minWidth: 0, flex: 1 }}>
              <ChainJobLink job={job} isShown={job.id === shownId} size="sm" />
              {job.needs.length > 0 && (
                <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
                  after {job.needs.map((id) => nameOf(byId.get(id) ?? { id, key: null })).join(", ")}
                </Text>
              )}
            </div>
          </Group>
        ))}
      </Stack>
    </ScrollArea>
  );
}
