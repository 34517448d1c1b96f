import { Anchor, Button, Stack, Table, Text, Title } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { JobProgress, JobRemaining } from "../../parts/job-progress.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { StatusBadge } from "../../parts/status-badge.tsx";
import { Ago } from "../../parts/times.tsx";
import { type JobsSearch } from "./jobs-search.ts";

const route = getRouteApi("/frame/jobs");

export function Jobs(): ReactNode {
  const search = route.useSearch();
  return (
    <Stack>
      <Title order={2}>Jobs</Title>
      <JobTable search={search} />
    </Stack>
  );
}

export function JobTable({ search }: { search: JobsSearch }): ReactNode {
  const pages = useJobPages(search);
  if (pages.data === undefined) {
    return pages.isError ? (
      <ErrorState error={pages.error} onRetry={() => void pages.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const jobs = pages.data.pages.flatMap((page) => page.jobs);
  if (jobs.length === 0)
    return <EmptyState title="No jobs" text="Jobs that are submitted appear here at once." />;
  return (
    <>
      <Table.ScrollContainer minWidth={700}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Job</Table.Th>
              <Table.Th>Status</Table.Th>
              <Table.Th w={200}>Progress</Table.Th>
              <Table.Th w={120}>Remaining</Table.Th>
              <Table.Th w={120}>Server</Table.Th>
              <Table.Th w={120}>Submitted</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {jobs.map((job) => (
              <Table.Tr key={job.id}>
                <Table.Td>
                  <Anchor renderRoot={(props) => <Link to="/jobs/$id" params={{ id: job.id }} {...props} />}>
                    <Text lineClamp={1}>{job.prompt ?? job.id}</Text>
                  </Anchor>
                </Table.Td>
                <Table.Td>
                  <StatusBadge status={job.status} />
                </Table.Td>
                <Table.Td>
                  <JobProgress job={job} />
                </Table.Td>
                <Table.Td>
                  <JobRemaining job={job} />
                </Table.Td>
                <Table.Td>{job.server?.name}</Table.Td>
                <Table.Td>
                  <Ago at={job.createdAt} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {pages.hasNextPage && (
        <Button
          variant="default"
          loading={pages.isFetchingNextPage}
          onClick={() => void pages.fetchNextPage()}
        >
          Older jobs
        </Button>
      )}
    </>
  );
}

const pageSize = 100;

/** Pages of a list, the newest first; each goes on where the last one ended, whatever was submitted meanwhile. */
export function useJobPages(search: JobsSearch) {
  return useInfiniteQuery({
    queryKey: keys.jobs(search),
    queryFn: ({ pageParam, signal }) => {
      const query = { ...search, limit: pageSize, ...(pageParam !== undefined && { cursor: pageParam }) };
      // prettier-ignore
      return dataOf(genga.http.GET("/api/anime/jobs", { params: { query: query as never }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
  });
}
