import { Stack, Table, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { queueQuery } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";

export function QueueView(): ReactNode {
  const query = useQuery(queueQuery);
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { lanes } = query.data;
  return (
    <Stack>
      <Title order={2}>Queue</Title>
      {lanes.length === 0 && <EmptyState title="Nothing waits" />}
      <Table>
        <Table.Tbody>
          {lanes.map(({ lane, queued, processing }) => (
            <Table.Tr key={lane}>
              <Table.Td>{lane}</Table.Td>
              <Table.Td>{queued} waiting</Table.Td>
              <Table.Td>{processing} running</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Stack>
  );
}
