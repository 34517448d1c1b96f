import { Badge, Button, Stack, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago, Moment } from "../../parts/times.tsx";
import { useChange } from "../../parts/use-change.ts";
import { confirm } from "./confirm.tsx";

const sessionsKey = ["sessions"] as const;

/** Everybody who has signed in with a browser. */
export function Sessions(): ReactNode {
  const query = useQuery({
    queryKey: sessionsKey,
    queryFn: ({ signal }) => dataOf(genga.http.GET("/api/anime/sessions", { signal })),
  });
  const end = useChange(
    (id: string) => genga.http.DELETE("/api/anime/sessions/{id}", { params: { path: { id } } }),
    sessionsKey,
  );
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { sessions } = query.data;
  if (sessions.length === 0)
    return <EmptyState title="Nobody has signed in" text="Sessions of browsers appear here." />;
  return (
    <Stack>
      {end.isError && <ErrorState error={end.error} />}
      <Table.ScrollContainer minWidth={680}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              {["Key", "Tenant", "Signed in", "Last used", "Ends unless used"].map((title) => (
                <Table.Th key={title}>{title}</Table.Th>
              ))}
              <Table.Th w={130}>Change</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {sessions.map(({ id, keyName, tenant, createdAt, lastUsedAt, idleUntil, isOwn }) => (
              <Table.Tr key={id}>
                <Table.Td>{keyName}</Table.Td>
                <Table.Td>{tenant}</Table.Td>
                <Table.Td>
                  <Ago at={createdAt} />
                </Table.Td>
                <Table.Td>
                  <Ago at={lastUsedAt} />
                </Table.Td>
                <Table.Td>
                  <Moment at={idleUntil} />
                </Table.Td>
                <Table.Td>
                  {isOwn ? (
                    <Badge variant="light">This one</Badge>
                  ) : (
                    <Button
                      size="xs"
                      variant="default"
                      aria-label={`End the session of ${keyName}`}
                      onClick={() => {
                        confirm(
                          `End this session of ${keyName}?`,
                          "Its browser must sign in again; its key goes on working.",
                          "End the session",
                          () => {
                            end.mutate(id);
                          },
                        );
                      }}
                    >
                      End
                    </Button>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Stack>
  );
}
