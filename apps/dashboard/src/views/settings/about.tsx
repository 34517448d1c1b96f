import { Anchor, Badge, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { baseUrl } from "../../connection/genga.ts";
import { healthQuery } from "../../connection/queries.ts";
import { useSession } from "../../connection/session.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { durationText } from "../../parts/times.tsx";

const partNames = {
  database: "PostgreSQL",
  redis: "Redis",
  servers: "ComfyUI servers",
  workers: "Workers",
} as const;

/** Which version runs here, and how its parts are. */
export function About(): ReactNode {
  const { tenant, role, keyName } = useSession();
  const query = useQuery(healthQuery);
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { version, uptimeSeconds, parts } = query.data;
  return (
    <Stack maw={700}>
      <Text style={{ overflowWrap: "anywhere" }}>
        Genga {version}. This API has run for {durationText(uptimeSeconds * 1_000)}. You are {keyName} of{" "}
        {tenant}, and may {role}.
      </Text>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Part</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Answer after</Table.Th>
            <Table.Th>Detail</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {Object.entries(parts).map(([name, { status, latencyMs, detail }]) => (
            <Table.Tr key={name}>
              <Table.Td>{partNames[name as keyof typeof partNames]}</Table.Td>
              <Table.Td>
                <Badge color={status === "ok" ? "teal" : "red"} variant="light">
                  {status}
                </Badge>
              </Table.Td>
              <Table.Td>{latencyMs === null ? "" : `${latencyMs} ms`}</Table.Td>
              <Table.Td style={{ overflowWrap: "anywhere" }}>{detail}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Anchor href={`${baseUrl}/docs`}>The API, with its parameters</Anchor>
    </Stack>
  );
}
