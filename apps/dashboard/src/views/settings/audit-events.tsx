import { Stack, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { MoreButton } from "../../parts/more-button.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago } from "../../parts/times.tsx";

/** Changes that people made, the newest first. */
export function AuditEvents(): ReactNode {
  const pages = useInfiniteQuery({
    queryKey: ["audit-events"],
    queryFn: ({ pageParam, signal }) => {
      const query = pageParam === undefined ? {} : { cursor: pageParam };
      return dataOf(genga.http.GET("/api/anime/audit-events", { params: { query: query as never }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
  });
  if (pages.data === undefined) {
    return pages.isError ? (
      <ErrorState error={pages.error} onRetry={() => void pages.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const events = pages.data.pages.flatMap((page) => page.events);
  if (events.length === 0) {
    return (
      <EmptyState title="Nothing yet" text="Changes of keys, servers, limits and removed jobs appear here." />
    );
  }
  return (
    <Stack align="flex-start">
      <Table.ScrollContainer minWidth={640} w="100%">
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th w={110}>When</Table.Th>
              <Table.Th>By the key</Table.Th>
              <Table.Th>What</Table.Th>
              <Table.Th>Of</Table.Th>
              <Table.Th>Details</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {events.map(({ id, at, key, action, subject, details }) => (
              <Table.Tr key={id}>
                <Table.Td>
                  <Ago at={at} />
                </Table.Td>
                <Table.Td>{key.name}</Table.Td>
                <Table.Td>{action.replaceAll("-", " ")}</Table.Td>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{subject}</Table.Td>
                <Table.Td>
                  <Text size="xs" style={{ overflowWrap: "anywhere" }}>
                    {detailsText(details)}
                  </Text>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <MoreButton pages={pages} label="Older changes" />
    </Stack>
  );
}

function detailsText(details: Record<string, unknown>): string {
  return Object.entries(details)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
