import { type Job } from "@genga/client";
import { Group, Progress, Text } from "@mantine/core";
import { type ReactNode } from "react";
import { useLive } from "../connection/live-jobs.ts";
import { remainingText } from "./times.tsx";

/** How far a job is, live: a bar, and its percentage in words. */
export function JobProgress({ job }: { job: Job }): ReactNode {
  const { progress, phase } = useLive(job);
  const percent = job.status === "completed" ? 100 : Math.floor(progress.percent);
  return (
    <Group gap="xs" wrap="nowrap" title={progress.nodeTitle ?? phase ?? undefined}>
      <Progress
        value={percent}
        style={{ flex: 1 }}
        miw={60}
        transitionDuration={150}
        aria-label={`Progress of ${job.prompt ?? job.id}`}
      />
      <Text size="sm" w={44} ta="right">
        {percent} %
      </Text>
    </Group>
  );
}

/** How much longer the attempt runs, if that is known; live. */
export function JobRemaining({ job }: { job: Job }): ReactNode {
  const { remainingLowMs: low, remainingHighMs: high, percent } = useLive(job).progress;
  if (job.status !== "processing" || low === null || high === null || percent >= 100) return null;
  return <>{remainingText(low, high) ?? "overdue"}</>;
}
