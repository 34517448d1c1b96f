import { Alert, Badge, Button, Group, SimpleGrid, Stack, Table, Text, Title } from "@mantine/core";
import { IconHandStop, IconTicket } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { baseUrl, dataOf, genga } from "../../connection/genga.ts";
import { keys, queueQuery } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { useAction } from "../../parts/use-action.tsx";
import { Lanes } from "./lanes.tsx";
import { lanesOf, obstacles } from "./waiting-lanes.ts";
import { WhyTheyWait } from "./why-they-wait.tsx";

export function QueueView(): ReactNode {
  const query = useQuery(queueQuery);
  const may = useMay();
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const queue = query.data;
  const hindering = obstacles(queue);
  return (
    <Stack>
      <Group justify="space-between">
        <Group>
          <Title order={2}>Queue</Title>
          <Badge
            color={queue.pausedSince === null ? "teal" : "yellow"}
            variant={queue.pausedSince === null ? "light" : "filled"}
            size="lg"
          >
            {queue.pausedSince === null ? "running" : "paused"}
          </Badge>
        </Group>
        {may("operate") && (
          <Group gap="xs">
            <Button
              component="a"
              variant="default"
              href={`${baseUrl}/admin/queues`}
              leftSection={<IconTicket size={16} aria-hidden />}
            >
              Bull Board
            </Button>
            <FarmSwitch isPaused={queue.pausedSince !== null} />
          </Group>
        )}
      </Group>
      {hindering.length > 0 && (
        <Alert color="yellow" icon={<IconHandStop aria-hidden />} title="Nothing begins at the moment">
          {hindering.map((text) => (
            <Text key={text} size="sm">
              {text}
            </Text>
          ))}
        </Alert>
      )}
      <Lanes lanes={lanesOf(queue)} isOfAll={queue.allTenants !== undefined} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl">
        <WhyTheyWait />
        {queue.outlook !== undefined && <Tenants tenants={queue.outlook.tenants} />}
      </SimpleGrid>
    </Stack>
  );
}

function FarmSwitch({ isPaused }: { isPaused: boolean }): ReactNode {
  const ask = useAction();
  const changes = [keys.queue()];
  return isPaused ? (
    <Button
      onClick={() => {
        ask({
          ...{ title: "Resume the farm?", confirm: "Resume", changes },
          text: "Servers begin new jobs at once.",
          act: () => dataOf(genga.http.POST("/api/anime/farm/resume")),
          done: "The farm works again.",
        });
      }}
    >
      Resume the farm
    </Button>
  ) : (
    <Button
      variant="default"
      onClick={() => {
        ask({
          ...{ title: "Pause the farm?", confirm: "Pause", changes },
          text: "No server begins anything new, for any tenant. What runs goes on to its end, and new jobs are accepted.",
          act: () => dataOf(genga.http.POST("/api/anime/farm/pause")),
          done: "The farm is paused.",
        });
      }}
    >
      Pause the farm
    </Button>
  );
}

function Tenants({
  tenants,
}: {
  tenants: readonly { tenant: string; queued: number; processing: number }[];
}): ReactNode {
  return (
    <Stack gap="xs">
      <Title order={3} size="h4">
        Tenants with waiting jobs
      </Title>
      {tenants.length === 0 ? (
        <Text size="sm" c="dimmed">
          No tenant has waiting jobs.
        </Text>
      ) : (
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Tenant</Table.Th>
              <Table.Th ta="right">Waiting</Table.Th>
              <Table.Th ta="right">Running</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {tenants.map(({ tenant, queued, processing }) => (
              <Table.Tr key={tenant}>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{tenant}</Table.Td>
                {/* Counting stops at 1,000. */}
                <Table.Td ta="right">{queued >= 1_000 ? "1,000 or more" : queued}</Table.Td>
                <Table.Td ta="right">{processing}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Stack>
  );
}
