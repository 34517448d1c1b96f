import { Badge, Button, Stack, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { MoreButton } from "../../parts/more-button.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago } from "../../parts/times.tsx";
import { useChange } from "../../parts/use-change.ts";

const colours = { pending: "gray", delivered: "teal", failed: "red" } as const;
/** No event of jobs tells that something was sent. */
const refreshMs = 3_000;

/** What was sent to a webhook, and what waits, the newest first. */
export function Deliveries({ webhookId, mayChange }: { webhookId: string; mayChange: boolean }): ReactNode {
  const queryKey = ["deliveries", webhookId];
  const pages = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => {
      const query = { limit: 20, ...(pageParam !== undefined && { cursor: pageParam }) } as never;
      const params = { path: { id: webhookId }, query };
      return dataOf(genga.http.GET("/api/anime/webhooks/{id}/deliveries", { params, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    refetchInterval: refreshMs,
  });
  const again = useChange(
    (id: string) =>
      genga.http.POST("/api/anime/webhook-deliveries/{id}/redeliver", { params: { path: { id } } }),
    queryKey,
  );
  if (pages.data === undefined) {
    return pages.isError ? (
      <ErrorState error={pages.error} onRetry={() => void pages.refetch()} />
    ) : (
      <LoadingState rows={3} />
    );
  }
  const deliveries = pages.data.pages.flatMap((page) => page.deliveries);
  if (deliveries.length === 0) {
    return <Text size="sm">Nothing was sent yet. “Send a test” sends a message at once.</Text>;
  }
  return (
    <Stack gap="xs" align="flex-start">
      {again.isError && <ErrorState error={again.error} />}
      <Table.ScrollContainer minWidth={560} w="100%">
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Event</Table.Th>
              <Table.Th w={110}>When</Table.Th>
              <Table.Th w={120}>State</Table.Th>
              <Table.Th w={80}>Attempts</Table.Th>
              <Table.Th>Last answer</Table.Th>
              <Table.Th w={120}>Change</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {deliveries.map(({ id, type, occurredAt, status, attempts, lastStatus, lastError }) => (
              <Table.Tr key={id}>
                <Table.Td>{type}</Table.Td>
                <Table.Td>
                  <Ago at={occurredAt} />
                </Table.Td>
                <Table.Td>
                  <Badge color={colours[status]} variant="light">
                    {status}
                  </Badge>
                </Table.Td>
                <Table.Td>{attempts}</Table.Td>
                <Table.Td style={{ overflowWrap: "anywhere" }}>
                  {lastStatus} {lastError}
                </Table.Td>
                <Table.Td>
                  {mayChange && status !== "pending" && (
                    <Button
                      size="xs"
                      variant="default"
                      disabled={again.isPending}
                      onClick={() => {
                        again.mutate(id);
                      }}
                    >
                      Send again
                    </Button>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <MoreButton pages={pages} label="Older deliveries" />
    </Stack>
  );
}
