import { Stack, Table, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { serversQuery } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";

export function Servers(): ReactNode {
  const query = useQuery(serversQuery);
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { servers } = query.data;
  return (
    <Stack>
      <Title order={2}>Servers</Title>
      {servers.length === 0 && (
        <EmptyState title="No servers" text="A worker adds the servers of COMFYUI_URLS." />
      )}
      <Table>
        <Table.Tbody>
          {servers.map((server) => (
            <Table.Tr key={server.id}>
              <Table.Td>{server.name}</Table.Td>
              <Table.Td>{server.state}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Stack>
  );
}
