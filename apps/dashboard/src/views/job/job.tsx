import { Alert, Anchor, Group, Image, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { localUrl } from "../../connection/genga.ts";
import { jobQuery } from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { JobProgress } from "../../parts/job-progress.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { StatusBadge } from "../../parts/status-badge.tsx";

const route = getRouteApi("/frame/jobs/$id");

export function JobView(): ReactNode {
  const { id } = route.useParams();
  const query = useQuery(jobQuery(id));
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const job = query.data;
  return (
    <Stack>
      <Group>
        <Title order={2} size="h3" style={{ overflowWrap: "anywhere" }}>
          {job.prompt ?? job.id}
        </Title>
        <StatusBadge status={job.status} />
      </Group>
      <JobProgress job={job} />
      {job.waitingFor !== null && <Text>{job.waitingFor.message}</Text>}
      {job.failure !== null && (
        <Alert color="red" title={job.failure.code}>
          {job.failure.message}
        </Alert>
      )}
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
        {job.outputs.map((output) => (
          <Anchor key={output.id} href={localUrl(output.links.content)} target="_blank" rel="noreferrer">
            {output.links.thumbnail === undefined ? (
              (output.filename ?? "A text")
            ) : (
              <Image
                src={localUrl(output.links.thumbnail)}
                alt={output.filename ?? "An output"}
                radius="sm"
              />
            )}
          </Anchor>
        ))}
      </SimpleGrid>
    </Stack>
  );
}
