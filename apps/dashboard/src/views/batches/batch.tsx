import { Progress, Stack, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { batchQuery } from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { JobTable } from "../jobs/job-table.tsx";

const route = getRouteApi("/frame/batches/$id");

export function BatchView(): ReactNode {
  const { id } = route.useParams();
  const query = useQuery(batchQuery(id));
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const batch = query.data;
  return (
    <Stack>
      <Title order={2}>{batch.name ?? batch.id}</Title>
      <Progress value={batch.percent} aria-label="Progress of the batch" />
      <JobTable search={{ batch: id }} />
    </Stack>
  );
}
