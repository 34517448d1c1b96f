import { Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState, type ReactNode } from "react";
import { chainQuery, type ChainOf } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { GraphOrList } from "../../parts/graph-or-list.tsx";
import { Section } from "../../parts/section.tsx";
import { chainInOrder } from "./chain-jobs.ts";
import { ChainList } from "./chain-list.tsx";

// What draws graphs is large, and most jobs stand alone.
const ChainGraph = lazy(async () => ({ default: (await import("./chain-graph.tsx")).ChainGraph }));

/** Who waits for whom: the chain in which a job stands, or those of a batch; drawn, or as a list. */
export function ChainView({ of, isQuietAlone = false }: { of: ChainOf; isQuietAlone?: boolean }): ReactNode {
  const query = useQuery(chainQuery(of));
  const [form, setForm] = useState("graph");
  const jobs = useMemo(() => chainInOrder(query.data?.jobs ?? []), [query.data]);
  const shownId = of.kind === "job" ? of.id : undefined;
  if (isQuietAlone && jobs.length < 2) return null;
  return (
    <Section
      title="Who waits for whom"
      aside={<GraphOrList label="How the chain is shown" form={form} onChange={setForm} />}
    >
      {query.data === undefined ? (
        query.isError ? (
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <Skeleton height={400} />
        )
      ) : jobs.length === 0 ? (
        <EmptyState
          title="No chains"
          text="No job of this batch waits for another one, and none waits for them."
        />
      ) : form === "list" ? (
        <ChainList jobs={jobs} shownId={shownId} />
      ) : (
        <Suspense fallback={<Skeleton height={400} />}>
          <ChainGraph jobs={jobs} shownId={shownId} />
        </Suspense>
      )}
      {query.data?.isWhole === false && (
        <Text size="sm" c="dimmed">
          There are more jobs than are shown here.
        </Text>
      )}
    </Section>
  );
}
