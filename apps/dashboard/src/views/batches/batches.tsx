import { type Batch } from "@genga/client";
import { Anchor, Badge, Button, Group, Paper, Stack, Text, TextInput, Title } from "@mantine/core";
import { useInViewport } from "@mantine/hooks";
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { batchTimeQuery, keys } from "../../connection/queries.ts";
import { MoreButton } from "../../parts/more-button.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago, Until, useNow } from "../../parts/times.tsx";
import { CountsBar } from "./batch-counts.tsx";
import { type BatchesSearch } from "./batch-search.ts";

const route = getRouteApi("/frame/batches");
const pageSize = 50;

/** Newest first; each page goes on where the last one ended. */
export function Batches(): ReactNode {
  const search = route.useSearch();
  const pages = useInfiniteQuery({
    queryKey: keys.batches({ list: search }),
    queryFn: ({ pageParam, signal }) => {
      const query = { ...search, limit: pageSize, ...(pageParam !== undefined && { cursor: pageParam }) };
      return dataOf(genga.http.GET("/api/anime/batches", { params: { query }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    placeholderData: keepPreviousData,
  });
  const batches = pages.data?.pages.flatMap((page) => page.batches);
  return (
    <Stack>
      <Title order={2}>Batches</Title>
      <Filters key={JSON.stringify(search)} search={search} />
      {batches === undefined ? (
        pages.isError ? (
          <ErrorState error={pages.error} onRetry={() => void pages.refetch()} />
        ) : (
          <LoadingState rows={5} height={72} />
        )
      ) : batches.length === 0 ? (
        <Nothing isFiltered={Object.keys(search).length > 0} />
      ) : (
        <Stack gap="xs" component="ul" m={0} p={0} style={{ listStyle: "none" }}>
          {batches.map((batch) => (
            <li key={batch.id}>
              <Row batch={batch} />
            </li>
          ))}
        </Stack>
      )}
      <MoreButton pages={pages} label="Older batches" />
    </Stack>
  );
}

function Filters({ search }: { search: BatchesSearch }): ReactNode {
  const navigate = route.useNavigate();
  const [given, setGiven] = useState<Record<string, string>>({ ...search });
  const apply = (values: Record<string, string>): void =>
    void navigate({ search: Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "")) });
  return (
    <form
      role="search"
      aria-label="Filter batches"
      onSubmit={(event) => {
        event.preventDefault();
        apply(given);
      }}
    >
      <Group gap="xs" align="flex-end">
        {(["project", "scene", "shot", "tag"] as const).map((name) => (
          <TextInput
            key={name}
            size="xs"
            w={{ base: "calc(50% - 5px)", sm: 140 }}
            label={name}
            value={given[name] ?? ""}
            onChange={(event) => setGiven({ ...given, [name]: event.currentTarget.value })}
          />
        ))}
        <Button size="xs" type="submit" variant="default">
          Filter
        </Button>
        {Object.keys(search).length > 0 && (
          <Button size="xs" variant="subtle" onClick={() => apply({})}>
            Show all
          </Button>
        )}
      </Group>
    </form>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }): ReactNode {
  return isFiltered ? (
    <EmptyState
      title="No batch has these labels"
      text="Labels find the batches whose request names them for all of its jobs."
    />
  ) : (
    <EmptyState
      title="No batches"
      text="Jobs that are submitted together are a batch: a list of jobs, or a sweep of values."
    >
      <Button renderRoot={(props) => <Link to="/create" {...props} />}>Create</Button>
    </EmptyState>
  );
}

function Row({ batch }: { batch: Batch }): ReactNode {
  const labels = [batch.project, batch.scene, batch.shot, ...batch.tags.map((tag) => `#${tag}`)].filter(
    (label) => label !== null,
  );
  return (
    <Paper withBorder p="sm">
      <Stack gap={6}>
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <Anchor
            fw={600}
            style={{ overflowWrap: "anywhere", minWidth: 0 }}
            renderRoot={(props) => <Link to="/batches/$id" params={{ id: batch.id }} {...props} />}
          >
            {batch.name ?? batch.id}
          </Anchor>
          <Text size="sm" c="dimmed" style={{ flex: "none" }}>
            <Ago at={batch.createdAt} />
          </Text>
        </Group>
        <Group gap="sm" wrap="nowrap">
          <div style={{ flex: 1, minWidth: 0 }}>
            <CountsBar batch={batch} />
          </div>
          <Text size="sm" w={64} ta="right">
            {batch.percent} %
          </Text>
        </Group>
        <Group gap="xs" justify="space-between">
          <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere", minWidth: 0 }}>
            {batch.total} jobs
            {labels.length > 0 && ` · ${labels.join(" · ")}`}
          </Text>
          {batch.pausedAt !== null && (
            <Badge color="yellow" variant="light">
              paused
            </Badge>
          )}
          {!batch.done && <Remaining id={batch.id} />}
        </Group>
      </Stack>
    </Paper>
  );
}

function Left({ until }: { until: string }): ReactNode {
  if (Date.parse(until) <= useNow()) return "overdue";
  return (
    <>
      <Until at={until} /> left
    </>
  );
}

/** Only of batches that run, and while they are in sight: the list does not say it. */
function Remaining({ id }: { id: string }): ReactNode {
  const { ref, inViewport } = useInViewport<HTMLParagraphElement>();
  const { data } = useQuery({ ...batchTimeQuery(id), enabled: inViewport });
  const endsAt = data?.eta?.endsAt.expected;
  return (
    <Text ref={ref} size="sm" c="dimmed" w={130} mih="1.3em" ta="right">
      {endsAt !== undefined && <Left until={endsAt} />}
    </Text>
  );
}
