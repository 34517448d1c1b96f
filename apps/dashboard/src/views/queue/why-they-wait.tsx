import { Anchor, Stack, Text, Title } from "@mantine/core";
import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { jobQuery, keys } from "../../connection/queries.ts";
import { LoadingState } from "../../parts/loading-state.tsx";
import { LocalTimes } from "../../parts/local-times.tsx";

/** Of so many jobs the reason is asked for. */
const askedMax = 5;

const latestWaiting = {
  queryKey: keys.jobs({ status: ["queued"], limit: askedMax }),
  queryFn: ({ signal }: { signal: AbortSignal }) => {
    const query = { status: ["queued" as const], limit: askedMax };
    return dataOf(genga.http.GET("/api/anime/jobs", { params: { query }, signal }));
  },
};

/** The reasons of the latest jobs that wait; what holds up one mostly holds up others. */
export function WhyTheyWait(): ReactNode {
  const { data } = useQuery(latestWaiting);
  const details = useQueries({
    queries: (data?.jobs ?? []).map(({ id }) => ({ ...jobQuery(id), refetchInterval: 5_000 })),
  });
  const jobs = details.flatMap(({ data: job }) =>
    job === undefined || job.waitingFor === null ? [] : [job],
  );
  const isReading = data === undefined || details.some(({ isPending }) => isPending);
  return (
    <Stack gap="xs">
      <Title order={3} size="h4">
        Why your latest jobs wait
      </Title>
      {jobs.length === 0 &&
        (isReading ? (
          <LoadingState rows={askedMax} height={44} />
        ) : (
          <Text size="sm" c="dimmed">
            None of them waits.
          </Text>
        ))}
      {jobs.map(({ id, prompt, waitingFor }) => (
        <div key={id}>
          <Anchor
            size="sm"
            truncate
            dir="auto"
            display="block"
            renderRoot={(props) => <Link to="/jobs/$id" params={{ id }} {...props} />}
          >
            {prompt ?? id}
          </Anchor>
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            <LocalTimes text={waitingFor?.message ?? ""} />
          </Text>
        </div>
      ))}
      {typeof data?.nextCursor === "string" && (
        <Anchor
          size="sm"
          renderRoot={(props) => <Link to="/jobs" search={{ status: ["queued"] }} {...props} />}
        >
          All jobs that wait
        </Anchor>
      )}
    </Stack>
  );
}
