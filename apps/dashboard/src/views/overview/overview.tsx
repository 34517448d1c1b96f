import { Alert, Anchor, Badge, Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { useOutage } from "../../connection/outage.tsx";
import {
  healthQuery,
  queueQuery,
  runningQuery,
  serversQuery,
  statisticsQuery,
} from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { JobProgress } from "../../parts/job-progress.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { durationText } from "../../parts/times.tsx";
import { countSick, countStates, serverStates } from "../servers/server-states.ts";
import { EndsChart } from "./ends-chart.tsx";
import { backlogMs, hasOthers, perHour } from "./ends.ts";
import { FirstSteps } from "./first-steps.tsx";

const route = getRouteApi("/frame/");
const shown = ["processing", "queued", "completed", "failed", "timeout", "cancelled"] as const;
const shownRunning = 8;

export function Overview(): ReactNode {
  const { hours = 24 } = route.useSearch();
  const queue = useQuery(queueQuery);
  const lately = useQuery(statisticsQuery(1));
  const chosen = useQuery(statisticsQuery(hours));
  if (queue.data === undefined) {
    return queue.isError ? (
      <ErrorState error={queue.error} onRetry={() => void queue.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { counts } = queue.data;
  const isNew = Object.values(counts).every((count) => count === 0);
  const pace = lately.data && perHour(lately.data, lately.data.steps);
  const rest = pace === undefined ? null : backlogMs(counts.queued, pace);
  return (
    <Stack gap="lg">
      <Group justify="space-between">
        <Title order={2}>Overview</Title>
        <Health />
      </Group>
      {isNew && <FirstSteps />}
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }}>
        {shown.map((status) => (
          <Card
            key={status}
            withBorder
            padding="sm"
            renderRoot={(props) => <Link to="/jobs" search={{ status: [status] }} {...props} />}
          >
            <Text size="sm" c="dimmed">
              {status}
            </Text>
            <Text size="xl" fw={700}>
              {counts[status].toLocaleString("en")}
            </Text>
          </Card>
        ))}
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, sm: 3 }}>
        <Fact
          name="Pace of the last hour"
          value={pace === undefined ? "…" : `${Math.round(pace)} jobs an hour`}
        />
        <Fact
          name="What waits is done in"
          value={
            counts.queued === 0
              ? "nothing waits"
              : rest === null
                ? "not known yet"
                : `about ${durationText(rest)}`
          }
        />
        <ServersAtAGlance />
      </SimpleGrid>
      {chosen.data === undefined ? (
        chosen.isError ? (
          <ErrorState error={chosen.error} onRetry={() => void chosen.refetch()} />
        ) : (
          <LoadingState rows={1} height={260} />
        )
      ) : (
        <EndsChart
          title="Your jobs that ended"
          statistics={chosen.data}
          steps={chosen.data.steps}
          hours={hours}
        />
      )}
      <Running />
      {chosen.data?.allTenants !== undefined && hasOthers(chosen.data) && (
        <EndsChart title="Those of all tenants" statistics={chosen.data} steps={chosen.data.allTenants} />
      )}
    </Stack>
  );
}

function Fact({ name, value }: { name: string; value: ReactNode }): ReactNode {
  return (
    <Card withBorder padding="sm">
      <Text size="sm" c="dimmed">
        {name}
      </Text>
      <Text fw={600} component="div">
        {value}
      </Text>
    </Card>
  );
}

/** What of the installation does not work, by name. */
function Health(): ReactNode {
  const { data } = useQuery(healthQuery);
  const outage = useOutage();
  const sick = countSick(useQuery(serversQuery).data?.servers ?? []);
  if (outage !== undefined && outage.missing !== "database")
    return (
      <Badge color="red" variant="light" size="lg">
        {outage.missing === "api" ? "not known: the API does not answer" : "not known"}
      </Badge>
    );
  if (data === undefined) return null;
  if (data.status === "ok" && sick > 0)
    return (
      <Badge color="red" variant="light" size="lg" renderRoot={(props) => <Link to="/servers" {...props} />}>
        {sick === 1 ? "a server does not work" : `${sick} servers do not work`}
      </Badge>
    );
  if (data.status === "ok")
    return (
      <Badge color="teal" variant="light" size="lg">
        all is well
      </Badge>
    );
  const troubles = Object.entries(data.parts).filter(([, part]) => part.status !== "ok");
  return (
    <Alert color="red" p="xs" title={`The installation is ${data.status}`}>
      {troubles.map(([name, { detail }]) => (
        <Text key={name} size="sm" style={{ overflowWrap: "anywhere" }}>
          {name}: {detail ?? "unavailable"}
        </Text>
      ))}
    </Alert>
  );
}

function ServersAtAGlance(): ReactNode {
  const { data } = useQuery(serversQuery);
  return (
    <Fact
      name="Servers"
      value={
        <Anchor renderRoot={(props) => <Link to="/servers" {...props} />}>
          <Group gap={6}>
            {data?.servers.length === 0 && "none"}
            {countStates(data?.servers ?? []).map(({ state, count }) => (
              <Badge key={state} color={serverStates[state].colour} variant="light">
                {count} {state}
              </Badge>
            ))}
          </Group>
        </Anchor>
      }
    />
  );
}

function Running(): ReactNode {
  const { data } = useQuery(runningQuery);
  if (data === undefined || data.jobs.length === 0) return null;
  return (
    <Stack gap="xs">
      <Title order={3} size="h4">
        Running now
      </Title>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md" verticalSpacing="xs">
        {data.jobs.slice(0, shownRunning).map((job) => (
          <Stack key={job.id} gap={2} miw={0}>
            <Anchor
              size="sm"
              truncate
              dir="auto"
              renderRoot={(props) => (
                <Link to="/jobs/$id" params={{ id: job.id }} preload={false} {...props} />
              )}
            >
              {job.prompt ?? job.id}
            </Anchor>
            <JobProgress job={job} />
          </Stack>
        ))}
      </SimpleGrid>
      {data.jobs.length > shownRunning && (
        <Anchor
          size="sm"
          renderRoot={(props) => <Link to="/jobs" search={{ status: ["processing"] }} {...props} />}
        >
          All that run
        </Anchor>
      )}
    </Stack>
  );
}
