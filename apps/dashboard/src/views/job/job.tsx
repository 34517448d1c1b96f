import { GengaError, type JobDetail } from "@genga/client";
import { Button, Grid, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { jobQuery } from "../../connection/queries.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { ChainView } from "../chain/chain-view.tsx";
import { JobFailure } from "./job-failure.tsx";
import { JobFacts } from "./job-facts.tsx";
import { JobHeader } from "./job-header.tsx";
import { JobOrigin } from "./job-origin.tsx";
import { JobOutputs } from "./job-outputs.tsx";
import { JobParameters } from "./job-parameters.tsx";
import { JobPreview } from "./job-preview.tsx";
import { JobTimeline } from "./job-timeline.tsx";
import { RerunForm } from "./rerun-form.tsx";
import { WorkflowSection } from "./workflow-section.tsx";

const route = getRouteApi("/frame/jobs/$id");

export function JobView(): ReactNode {
  const { id } = route.useParams();
  const query = useQuery(jobQuery(id));
  if (query.data !== undefined && !isGone(query.error)) return <Shown job={query.data} />;
  if (query.isError) return <NotShown error={query.error} onRetry={() => void query.refetch()} />;
  return <LoadingState />;
}

/** It was removed, perhaps while it was shown. */
function isGone(error: unknown): boolean {
  return error instanceof GengaError && (error.status === 404 || error.status === 410);
}

function NotShown({ error, onRetry }: { error: unknown; onRetry: () => void }): ReactNode {
  if (!(error instanceof GengaError) || !isGone(error)) return <ErrorState error={error} onRetry={onRetry} />;
  const wasRemoved = error.status === 410;
  return (
    <EmptyState
      title={wasRemoved ? "This job was removed" : "There is no such job"}
      text={
        wasRemoved
          ? "Somebody removed it, or it was older than jobs are kept. Its outputs are gone with it; only its id is still known."
          : "The address may be incomplete, or the job belongs to another tenant than your key."
      }
    >
      <Button renderRoot={(props) => <Link to="/jobs" {...props} />}>To the jobs</Button>
    </EmptyState>
  );
}

function Shown({ job }: { job: JobDetail }): ReactNode {
  return (
    <Stack key={job.id} gap="lg">
      <JobHeader job={job} />
      <JobFailure job={job} />
      {job.outputs.length > 0 && <JobOutputs outputs={job.outputs} />}
      <Grid gap="lg" align="stretch">
        {job.status === "processing" && (
          <Grid.Col span={{ base: 12, md: 4 }}>
            <JobPreview job={job} />
          </Grid.Col>
        )}
        <Grid.Col span={{ base: 12, md: job.status === "processing" ? 8 : 12 }}>
          <WorkflowSection job={job} />
        </Grid.Col>
      </Grid>
      <Grid gap="lg">
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Stack gap="lg">
            <JobFacts job={job} />
            <JobOrigin job={job} />
            <JobTimeline job={job} />
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <JobParameters job={job} />
        </Grid.Col>
      </Grid>
      <ChainView of={{ kind: "job", id: job.id }} isQuietAlone />
      <RerunForm job={job} />
    </Stack>
  );
}
