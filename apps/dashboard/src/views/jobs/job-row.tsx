import { type Job } from "@genga/client";
import { Anchor, Badge, Checkbox, Group, Skeleton, Stack, Text, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { memo, type ReactNode } from "react";
import { genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { JobProgress, JobRemaining } from "../../parts/job-progress.tsx";
import { modelName } from "../../parts/model-name.ts";
import { StatusBadge } from "../../parts/status-badge.tsx";
import { Ago, durationText } from "../../parts/times.tsx";
import { JobPicture } from "./job-picture.tsx";

interface RowProps {
  readonly job: Job;
  readonly isCard: boolean;
  readonly isChosen: boolean;
  /** undefined where nothing can be done with jobs */
  readonly choose: ((job: Job, isChosen: boolean) => void) | undefined;
}

/** One job of the list: a row of the table, or a card on a narrow screen. */
export const JobRow = memo(function JobRow({ job, isCard, isChosen, choose }: RowProps): ReactNode {
  const choice = choose && (
    <Checkbox
      checked={isChosen}
      onChange={(event) => {
        choose(job, event.currentTarget.checked);
      }}
      aria-label={`Choose ${titleOf(job)}`}
    />
  );
  return isCard ? <Card job={job} choice={choice} /> : <Cells job={job} choice={choice} />;
});

/** Of a job whose place in the list is held, only its own changes are read. */
export function HeldJobRow({ job, ...others }: RowProps): ReactNode {
  const { data } = useQuery({
    queryKey: [...keys.job(job.id), "row"],
    queryFn: ({ signal }): Promise<Job> => genga.job(job.id, { signal }),
    ...{ initialData: job, staleTime: Infinity, gcTime: 0 },
  });
  return <JobRow job={data} {...others} />;
}

interface Shown {
  readonly job: Job;
  readonly choice: ReactNode;
}

function Cells({ job, choice }: Shown): ReactNode {
  return (
    <>
      {choice !== undefined && (
        <div role="cell" className="job-cell-choice">
          {choice}
        </div>
      )}
      <div role="cell" className="job-cell-main">
        <JobPicture job={job} size={44} />
        <Stack gap={0} miw={0} flex={1}>
          <Title job={job} />
          <Labels job={job} />
        </Stack>
      </div>
      <div role="cell">
        <StatusBadge status={job.status} />
      </div>
      <div role="cell">
        <JobProgress job={job} />
      </div>
      <div role="cell">
        <Duration job={job} />
      </div>
      <div role="cell" className="job-cell-wide">
        <Text size="sm" truncate title={job.model ?? undefined}>
          {job.model === null ? <None /> : modelName(job.model)}
        </Text>
      </div>
      <div role="cell" className="job-cell-wide">
        <Text size="sm" truncate title={job.server?.name}>
          {job.server?.name ?? <None />}
        </Text>
      </div>
      <div role="cell">
        <Text size="sm">
          <Ago at={job.createdAt} />
        </Text>
      </div>
    </>
  );
}

function Card({ job, choice }: Shown): ReactNode {
  const facts = [job.model === null ? null : modelName(job.model), job.server?.name ?? null];
  return (
    <div className="job-card">
      {choice}
      <JobPicture job={job} size={64} />
      <Stack gap={4} miw={0} flex={1}>
        <Title job={job} />
        <Group gap="xs" wrap="nowrap" justify="space-between">
          <StatusBadge status={job.status} />
          <Text size="xs" c="dimmed" component="div" truncate>
            {job.status === "queued" || job.status === "cancelled" ? (
              <Ago at={job.createdAt} />
            ) : (
              <Duration job={job} />
            )}
          </Text>
        </Group>
        <JobProgress job={job} />
        <Text size="xs" c="dimmed" truncate>
          {facts.filter((fact) => fact !== null).join(" · ")}
        </Text>
      </Stack>
    </div>
  );
}

function Title({ job }: { job: Job }): ReactNode {
  const { id } = job;
  return (
    <Anchor
      size="sm"
      truncate
      dir="auto"
      title={titleOf(job)}
      renderRoot={(props) => <Link to="/jobs/$id" params={{ id }} preload={false} {...props} />}
    >
      {titleOf(job)}
    </Anchor>
  );
}

/** Where it belongs, and what is special about it. */
function Labels({ job }: { job: Job }): ReactNode {
  const place = [job.project, job.scene, job.shot].filter((label) => label !== null).join(" / ");
  return (
    <Group gap={6} wrap="nowrap" h={20} style={{ overflow: "hidden" }}>
      {job.pausedAt !== null && (
        <Badge size="xs" color="yellow" variant="filled" flex="none">
          paused
        </Badge>
      )}
      {job.priority !== "normal" && (
        <Badge size="xs" color="gray" variant="outline" flex="none">
          {job.priority}
        </Badge>
      )}
      {job.failure === null ? (
        <Text size="xs" c="dimmed" truncate dir="auto">
          {[place, ...job.tags.map((tag) => `#${tag}`)].filter((text) => text !== "").join(" ")}
        </Text>
      ) : (
        <Text size="xs" c="var(--mantine-color-error)" truncate title={job.failure.message} dir="auto">
          {job.failure.message}
        </Text>
      )}
    </Group>
  );
}

/** How much longer it runs, or how long it took. */
function Duration({ job }: { job: Job }): ReactNode {
  const took =
    job.startedAt !== null && job.finishedAt !== null
      ? Date.parse(job.finishedAt) - Date.parse(job.startedAt)
      : null;
  return (
    <Text size="sm" component="div" truncate>
      {job.status === "processing" ? (
        <JobRemaining job={job} />
      ) : took === null ? (
        <None />
      ) : (
        `took ${durationText(took)}`
      )}
    </Text>
  );
}

function None(): ReactNode {
  return (
    <Text span c="dimmed">
      <span aria-hidden>–</span>
      <VisuallyHidden>none</VisuallyHidden>
    </Text>
  );
}

/** In place of a job that is being read. */
export function EmptyRow({ isCard }: { isCard: boolean }): ReactNode {
  return (
    <div {...(!isCard && { role: "cell" })} style={{ gridColumn: "1 / -1" }}>
      <Skeleton height={isCard ? 80 : 32} />
      <VisuallyHidden>Loading</VisuallyHidden>
    </div>
  );
}

function titleOf({ prompt, id }: Job): string {
  return prompt ?? id;
}
