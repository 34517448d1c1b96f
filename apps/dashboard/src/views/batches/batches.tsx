import { Anchor, Progress, Stack, Table, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago } from "../../parts/times.tsx";

export function Batches(): ReactNode {
  const query = useQuery({
    queryKey: keys.batches({}),
    queryFn: ({ signal }) => dataOf(genga.http.GET("/api/anime/batches", { signal })),
  });
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { batches } = query.data;
  return (
    <Stack>
      <Title order={2}>Batches</Title>
      {batches.length === 0 && (
        <EmptyState title="No batches" text="Jobs that are submitted together are a batch." />
      )}
      {batches.length > 0 && (
        <Table>
          <Table.Tbody>
            {batches.map((batch) => (
              <Table.Tr key={batch.id}>
                <Table.Td>
                  <Anchor
                    renderRoot={(props) => <Link to="/batches/$id" params={{ id: batch.id }} {...props} />}
                  >
                    {batch.name ?? batch.id}
                  </Anchor>
                </Table.Td>
                <Table.Td>{batch.total}</Table.Td>
                <Table.Td w={200}>
                  <Progress value={batch.percent} aria-label={`Progress of ${batch.name ?? batch.id}`} />
                </Table.Td>
                <Table.Td w={120}>
                  <Ago at={batch.createdAt} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Stack>
  );
}
