import { GengaError, type BatchDetail } from "@genga/client";
import { Alert, Anchor, Badge, Button, Group, Stack, Tabs, Text, Title } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { batchQuery } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago, Until, useNow } from "../../parts/times.tsx";
import { ChainView } from "../chain/chain-view.tsx";
import { JobTable } from "../jobs/job-table.tsx";
import { BatchActions } from "./batch-actions.tsx";
import { CountsBar, CountsText } from "./batch-counts.tsx";
import { ContactSheet } from "./contact-sheet.tsx";

const route = getRouteApi("/frame/batches/$id");

export function BatchView(): ReactNode {
  const { id } = route.useParams();
  const query = useQuery(batchQuery(id));
  const { error } = query;
  if (error instanceof GengaError && (error.status === 404 || error.status === 410))
    return <Gone error={error} />;
  if (query.data !== undefined) return <Shown key={id} batch={query.data} />;
  return query.isError ? <ErrorState error={error} onRetry={() => void query.refetch()} /> : <LoadingState />;
}

function Gone({ error }: { error: GengaError }): ReactNode {
  const wasRemoved = error.status === 410;
  return (
    <EmptyState
      title={wasRemoved ? "This batch was removed" : "There is no such batch"}
      text={
        wasRemoved
          ? "It went with its last job. Its outputs are gone; only its id is still known."
          : "The address may be incomplete, or the batch belongs to another tenant than your key."
      }
    >
      <Button renderRoot={(props) => <Link to="/batches" {...props} />}>To the batches</Button>
    </EmptyState>
  );
}

function Shown({ batch }: { batch: BatchDetail }): ReactNode {
  const { part = "jobs" } = route.useSearch();
  const navigate = route.useNavigate();
  const choose = (value: string | null): void =>
    void navigate({ search: value === "sheet" || value === "chains" ? { part: value } : {}, replace: true });
  return (
    <Stack gap="lg">
      <Header batch={batch} />
      <FirstErrors batch={batch} />
      <Tabs value={part} onChange={choose} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="jobs">Jobs</Tabs.Tab>
          <Tabs.Tab value="sheet">Contact sheet</Tabs.Tab>
          <Tabs.Tab value="chains">Chains</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="jobs" pt="md">
          <JobTable search={{ batch: batch.id }} />
        </Tabs.Panel>
        <Tabs.Panel value="sheet" pt="md">
          <ContactSheet batch={batch} />
        </Tabs.Panel>
        <Tabs.Panel value="chains" pt="md">
          <ChainView of={{ kind: "batch", id: batch.id }} />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}

function Header({ batch }: { batch: BatchDetail }): ReactNode {
  const labels = [batch.project, batch.scene, batch.shot, ...batch.tags.map((tag) => `#${tag}`)].filter(
    (label) => label !== null,
  );
  return (
    <Stack gap="sm">
      <Group justify="space-between" align="flex-start" gap="sm">
        <Stack gap={6} style={{ flex: "1 1 320px", minWidth: 0 }}>
          <Title order={2} size="h3" style={{ overflowWrap: "anywhere" }}>
            {batch.name ?? `Batch ${batch.id}`}
          </Title>
          <Group gap="xs">
            {batch.pausedAt !== null && (
              <Badge color="yellow" variant="light">
                paused
              </Badge>
            )}
            <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>
              {batch.total} jobs{labels.length > 0 && ` · ${labels.join(" · ")}`} · submitted{" "}
              <Ago at={batch.createdAt} />
            </Text>
          </Group>
        </Stack>
        <BatchActions batch={batch} />
      </Group>
      <Group gap="sm" wrap="nowrap">
        <div style={{ flex: 1, minWidth: 0 }}>
          <CountsBar batch={batch} size="xl" />
        </div>
        <Text fw={600} w={72} ta="right">
          {batch.percent} %
        </Text>
      </Group>
      <Group justify="space-between" gap="xs">
        <CountsText batch={batch} />
        <Text size="sm" c="dimmed" mih={22}>
          <EtaText batch={batch} />
        </Text>
      </Group>
    </Stack>
  );
}

function EtaText({ batch }: { batch: BatchDetail }): ReactNode {
  const { eta, etaReason } = batch;
  const now = useNow();
  if (eta === null) return etaReason?.code === "ended" ? null : etaReason?.message;
  const { expected } = eta.endsAt;
  const time = new Date(expected).toLocaleTimeString();
  if (Date.parse(expected) <= now) return `it should have ended at ${time}, and takes longer`;
  return (
    <>
      probably ends in <Until at={expected} />, at {time}
    </>
  );
}

function FirstErrors({ batch }: { batch: BatchDetail }): ReactNode {
  if (batch.firstErrors.length === 0) return null;
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title="First errors">
      <Stack gap={4}>
        {batch.firstErrors.map(({ jobId, index, status, failure }) => (
          <Text key={jobId} size="sm" style={{ overflowWrap: "anywhere" }} lineClamp={3}>
            <Anchor
              size="sm"
              c="inherit"
              td="underline"
              renderRoot={(props) => <Link to="/jobs/$id" params={{ id: jobId }} {...props} />}
            >
              Job {index + 1}
            </Anchor>{" "}
            {status}
            {failure !== null && `: ${failure.message}`}
          </Text>
        ))}
      </Stack>
    </Alert>
  );
}
