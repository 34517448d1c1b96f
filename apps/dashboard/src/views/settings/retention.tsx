import { Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { bytesText } from "../../parts/bytes-text.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";

/** What is kept how long; operators set it in the environment of the processes. */
export function Retention(): ReactNode {
  const query = useQuery({
    queryKey: ["retention"],
    queryFn: ({ signal }) => dataOf(genga.http.GET("/api/anime/retention", { signal })),
  });
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { endedJobs, unusedUploadsDays, removedIdsDays, webhookDeliveriesDays } = query.data;
  const limits = [
    ...(endedJobs.days === null ? [] : [daysText(endedJobs.days)]),
    ...(endedJobs.jobs === null ? [] : [`at most ${endedJobs.jobs.toLocaleString("en")} of each tenant`]),
    ...(endedJobs.bytes === null ? [] : [`at most ${bytesText(endedJobs.bytes)} of files of each tenant`]),
  ];
  const rows = [
    ["Ended jobs, with their files", limits.length === 0 ? "until they are removed" : limits.join(", ")],
    ["Uploads that no job uses", daysText(unusedUploadsDays)],
    ["That a job was removed", daysText(removedIdsDays)],
    ["What was sent to webhooks", daysText(webhookDeliveriesDays)],
  ];
  return (
    <Stack maw={700}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>What</Table.Th>
            <Table.Th>Is kept</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map(([what, how]) => (
            <Table.Tr key={what}>
              <Table.Td>{what}</Table.Td>
              <Table.Td>{how}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Text size="sm">Operators set this in the environment of the processes: see docs/operations.md.</Text>
    </Stack>
  );
}

function daysText(days: number | null): string {
  return days === null ? "for ever" : days === 1 ? "for a day" : `for ${days.toLocaleString("en")} days`;
}
