import { type JobDetail } from "@genga/client";
import { Alert, Anchor, Badge, Group, Progress, Stack, Text, Title } from "@mantine/core";
import { IconClock, IconInfoCircle } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { useLive } from "../../connection/live-jobs.ts";
import { LocalTimes } from "../../parts/local-times.tsx";
import { StatusBadge } from "../../parts/status-badge.tsx";
import { Ago, remainingText, Until } from "../../parts/times.tsx";
import { JobActions } from "./job-actions.tsx";

/** What the job is, how far it is and why it waits, and what can be done with it. */
export function JobHeader({ job }: { job: JobDetail }): ReactNode {
  return (
    <Stack gap="sm">
      <Group justify="space-between" align="flex-start" gap="sm">
        <Stack gap={6} style={{ flex: "1 1 320px", minWidth: 0 }}>
          <Title order={2} size="h3" style={{ overflowWrap: "anywhere" }} lineClamp={4}>
            {job.prompt ?? `${job.type} ${job.id}`}
          </Title>
          <Group gap="xs">
            <StatusBadge status={job.status} />
            {job.pausedAt !== null && (
              <Badge color="yellow" variant="light">
                paused
              </Badge>
            )}
            <Labels job={job} />
            <Text size="sm" c="dimmed">
              submitted <Ago at={job.createdAt} />
            </Text>
          </Group>
        </Stack>
        <JobActions job={job} />
      </Group>
      {job.status === "processing" && <Running job={job} />}
      <Notes job={job} />
    </Stack>
  );
}

function Labels({ job }: { job: JobDetail }): ReactNode {
  const names = ["project", "scene", "shot"] as const;
  return (
    <>
      {names.map((name) => {
        const value = job[name];
        return value === null ? null : (
          <Anchor
            key={name}
            size="sm"
            style={{ overflowWrap: "anywhere" }}
            renderRoot={(props) => <Link to="/jobs" search={{ [name]: value }} {...props} />}
          >
            {name} {value}
          </Anchor>
        );
      })}
      {job.tags.map((tag) => (
        <Anchor
          key={tag}
          size="sm"
          style={{ overflowWrap: "anywhere" }}
          renderRoot={(props) => <Link to="/jobs" search={{ tag }} {...props} />}
        >
          #{tag}
        </Anchor>
      ))}
    </>
  );
}

const phases = {
  waiting: "Waiting",
  submitted: "In the server's own queue",
  executing: "Executing",
  saving: "Saving the outputs",
} as const;

/** The bar and its line keep their height, whatever the server reports. */
function Running({ job }: { job: JobDetail }): ReactNode {
  const { progress, phase } = useLive(job);
  const { step, steps, nodesDone, nodesTotal, remainingLowMs: low, remainingHighMs: high } = progress;
  const percent = Math.floor(progress.percent);
  const details = [
    progress.nodeTitle ?? (phase === null ? null : phases[phase]),
    step !== null && steps !== null ? `step ${step} of ${steps}` : null,
    nodesDone !== null && nodesTotal !== null ? `${nodesDone} of ${nodesTotal} nodes done` : null,
  ].filter((detail) => detail !== null);
  return (
    <Stack gap={4}>
      <Group gap="sm" wrap="nowrap">
        <Progress
          value={percent}
          size="lg"
          flex={1}
          transitionDuration={150}
          aria-label="Progress of the job"
        />
        <Text w={52} ta="right" fw={600}>
          {percent} %
        </Text>
      </Group>
      <Group justify="space-between" gap="sm" wrap="nowrap">
        <Text size="sm" c="dimmed" truncate h={22} style={{ minWidth: 0 }}>
          {details.join(" · ")}
        </Text>
        <Text size="sm" c="dimmed" h={22} style={{ flex: "none" }}>
          {low !== null && high !== null && percent < 100 && leftText(low, high)}
        </Text>
      </Group>
    </Stack>
  );
}

function leftText(low: number, high: number): string {
  const remaining = remainingText(low, high);
  return remaining === null ? "takes longer than expected" : `${remaining} left`;
}

/** Sentences about what is unusual at the moment. */
function Notes({ job }: { job: JobDetail }): ReactNode {
  const { waitingFor, eta } = job;
  const [startsAt, endsAt] = [eta?.startsAt?.expected, eta?.endsAt.expected];
  const isStopping = job.cancelRequestedAt !== null && job.status === "processing";
  return (
    <>
      {waitingFor !== null && (
        <Alert color="gray" icon={<IconClock aria-hidden />} title="Why it waits">
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            <LocalTimes text={waitingFor.message} />
          </Text>
          {waitingFor.missing.length > 0 && (
            <Text size="sm" style={{ overflowWrap: "anywhere" }}>
              Missing: {waitingFor.missing.join(", ")}
            </Text>
          )}
          {startsAt !== undefined && endsAt !== undefined && (
            <Text size="sm">
              It probably begins in <Until at={startsAt} /> and ends in <Until at={endsAt} />.
            </Text>
          )}
        </Alert>
      )}
      {isStopping && (
        <Alert color="yellow" icon={<IconInfoCircle aria-hidden />} title="Being cancelled" role="status">
          Its server was asked to stop the prompt. The job is cancelled as soon as it has.
        </Alert>
      )}
      {job.cancelTooLate && (
        <Alert color="yellow" icon={<IconInfoCircle aria-hidden />} title="Cancelled too late">
          The prompt had already succeeded when the cancel request came, so the job has its outputs.
        </Alert>
      )}
      {job.warnings.length > 0 && (
        <Alert color="yellow" icon={<IconInfoCircle aria-hidden />} title="Warnings">
          {job.warnings.map((warning, index) => (
            <Text key={index} size="sm" style={{ overflowWrap: "anywhere" }}>
              {warning}
            </Text>
          ))}
        </Alert>
      )}
    </>
  );
}
