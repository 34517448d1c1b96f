import { Badge, Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { healthQuery, queueQuery } from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";

const shown = ["processing", "queued", "completed", "failed", "timeout", "cancelled"] as const;

export function Overview(): ReactNode {
  const queue = useQuery(queueQuery);
  const health = useQuery(healthQuery);
  if (queue.data === undefined) {
    return queue.isError ? (
      <ErrorState error={queue.error} onRetry={() => void queue.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { counts } = queue.data;
  return (
    <Stack>
      <Group justify="space-between">
        <Title order={2}>Overview</Title>
        {health.data !== undefined && (
          <Badge color={health.data.status === "ok" ? "teal" : "red"} variant="light" size="lg">
            {health.data.status}
          </Badge>
        )}
      </Group>
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }}>
        {shown.map((status) => (
          <Card
            key={status}
            withBorder
            renderRoot={(props) => <Link to="/jobs" search={{ status: [status] }} {...props} />}
          >
            <Text size="sm" c="dimmed">
              {status}
            </Text>
            <Text size="xl" fw={700}>
              {counts[status]}
            </Text>
          </Card>
        ))}
      </SimpleGrid>
    </Stack>
  );
}
