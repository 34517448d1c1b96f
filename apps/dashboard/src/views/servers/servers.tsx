import { type Job } from "@genga/client";
import { Badge, Group, SimpleGrid, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { queueQuery, runningQuery, serversQuery, workersQuery } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago } from "../../parts/times.tsx";
import { NewServer } from "./new-server.tsx";
import { ServerCard } from "./server-card.tsx";
import { countStates, inOrder, serverStates } from "./server-states.ts";
import "./servers.css";

export function Servers(): ReactNode {
  const query = useQuery(serversQuery);
  const queue = useQuery(queueQuery);
  const running = useQuery(runningQuery);
  const may = useMay();
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState rows={3} height={160} />
    );
  }
  const { servers } = query.data;
  const outlooks = new Map(queue.data?.outlook?.servers.map((each) => [each.id, each]));
  const jobsOf = (id: string): Job[] => running.data?.jobs.filter(({ server }) => server?.id === id) ?? [];
  return (
    <Stack>
      <Group>
        <Title order={2}>Servers</Title>
        {countStates(servers).map(({ state, count }) => (
          <Badge key={state} color={serverStates[state].colour} variant="light" size="lg">
            {count} {state}
          </Badge>
        ))}
      </Group>
      {may("operate") && <NewServer />}
      {servers.length === 0 ? (
        <EmptyState
          title="No servers"
          text={
            may("operate")
              ? "Add one here, or name your ComfyUI servers in COMFYUI_URLS or in a servers file and start a worker: they appear here once it has seen them."
              : "Name your ComfyUI servers in COMFYUI_URLS and start a worker: they appear here once it has seen them."
          }
        />
      ) : (
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
          {inOrder(servers).map((server) => (
            <ServerCard
              key={server.id}
              server={server}
              outlook={outlooks.get(server.id)}
              jobs={jobsOf(server.id)}
            />
          ))}
        </SimpleGrid>
      )}
      {may("operate") && <Workers />}
    </Stack>
  );
}

function Workers(): ReactNode {
  const { data, error, refetch } = useQuery(workersQuery);
  return (
    <Stack gap="xs" mt="md">
      <Title order={3} size="h4">
        Workers
      </Title>
      {data === undefined ? (
        error === null ? (
          <LoadingState rows={2} />
        ) : (
          <ErrorState error={error} onRetry={() => void refetch()} />
        )
      ) : data.workers.length === 0 ? (
        <Text size="sm">No worker is alive, so no job begins. Start one: npm run worker.</Text>
      ) : (
        <Table.ScrollContainer minWidth={520} aria-label="Workers">
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Worker</Table.Th>
                <Table.Th ta="right">Servers</Table.Th>
                <Table.Th ta="right">Jobs it has</Table.Th>
                <Table.Th>Started</Table.Th>
                <Table.Th>Seen</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.workers.map((worker) => (
                <Table.Tr key={worker.id}>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>{worker.id}</Table.Td>
                  <Table.Td ta="right">{worker.serversOwned}</Table.Td>
                  <Table.Td ta="right">{worker.jobsHeld}</Table.Td>
                  <Table.Td>
                    <Ago at={worker.startedAt} />
                  </Table.Td>
                  <Table.Td>
                    <Ago at={worker.lastSeenAt} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Stack>
  );
}
