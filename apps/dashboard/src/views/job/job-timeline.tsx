import { type JobDetail, type JobEvent } from "@genga/client";
import { Badge, Code, Group, ScrollArea, Stack, Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { attemptsQuery, historyQuery } from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { focusable } from "../../parts/focusable.ts";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Section } from "../../parts/section.tsx";
import { durationText } from "../../parts/times.tsx";
import { isBadEvent, textOfEvent } from "./event-text.ts";

type Attempt = NonNullable<ReturnType<typeof useAttempts>["data"]>[number];
const useAttempts = (id: string) => useQuery(attemptsQuery(id));

/** What happened, and each attempt with its server, its times and its failure. */
export function JobTimeline({ job }: { job: JobDetail }): ReactNode {
  const history = useQuery(historyQuery(job.id));
  const attempts = useAttempts(job.id);
  const failed = history.isError ? history : attempts;
  if (history.data === undefined || attempts.data === undefined) {
    return (
      <Section title="What happened">
        {failed.isError ? (
          <ErrorState error={failed.error} onRetry={() => void failed.refetch()} />
        ) : (
          <LoadingState rows={4} height={28} />
        )}
      </Section>
    );
  }
  return (
    <>
      {attempts.data.length > 0 && (
        <Section title="Attempts">
          <Stack gap="md">
            {attempts.data.toReversed().map((attempt) => (
              <AttemptView key={attempt.number} attempt={attempt} />
            ))}
          </Stack>
        </Section>
      )}
      <Section title="What happened">
        <ScrollArea.Autosize mah={420} type="auto" viewportProps={focusable("Events")}>
          <Events events={history.data} />
        </ScrollArea.Autosize>
      </Section>
    </>
  );
}

function Events({ events }: { events: readonly JobEvent[] }): ReactNode {
  return (
    <Timeline bulletSize={14} lineWidth={2} active={events.length} pt={4} pl={20}>
      {events.map((event, index) => (
        <Timeline.Item
          key={event.sequence}
          color={isBadEvent(event.type) ? "red" : "indigo"}
          title={
            <Text size="sm" style={{ overflowWrap: "anywhere" }}>
              {textOfEvent(event)}
            </Text>
          }
        >
          <Text size="xs" c="dimmed">
            <time dateTime={event.createdAt}>{new Date(event.createdAt).toLocaleString()}</time>
            {index > 0 && ` · ${sinceText(events[index - 1], event)} later`}
            {event.attempt > 0 && ` · attempt ${event.attempt}`}
          </Text>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}

function sinceText(before: JobEvent | undefined, event: JobEvent): string {
  return durationText(Date.parse(event.createdAt) - Date.parse(before?.createdAt ?? event.createdAt));
}

const outcomeColours: Readonly<Record<string, string>> = {
  completed: "teal",
  failed: "red",
  timeout: "orange",
  cancelled: "dark",
  requeued: "yellow",
};

function AttemptView({ attempt }: { attempt: Attempt }): ReactNode {
  const { number, server, outcome, claimedAt, executionStartedAt, finishedAt, failure } = attempt;
  const ranMs = (from: string | null, to: string | null): string | null =>
    from === null || to === null ? null : durationText(Date.parse(to) - Date.parse(from));
  const times = [
    `taken ${new Date(claimedAt).toLocaleString()}`,
    executionStartedAt === null
      ? "never began to execute"
      : `began after ${ranMs(claimedAt, executionStartedAt)}`,
    finishedAt === null ? null : `ended after ${ranMs(executionStartedAt ?? claimedAt, finishedAt)}`,
  ].filter((text) => text !== null);
  return (
    <Stack gap={4}>
      <Group gap="xs">
        <Text fw={600} size="sm">
          Attempt {number}
        </Text>
        <Badge variant="light" color={outcomeColours[outcome ?? ""] ?? "blue"}>
          {outcome ?? "runs"}
        </Badge>
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          {server.name}
        </Text>
      </Group>
      <Text size="xs" c="dimmed">
        {executionStartedAt === null && finishedAt === null ? times[0] : times.join(" · ")}
      </Text>
      {failure !== null && (
        <>
          <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
            {failure.exceptionMessage ?? failure.message}
          </Text>
          {failure.traceback.length > 0 && (
            <details>
              <summary>Traceback</summary>
              <ScrollArea type="auto" viewportProps={focusable("Traceback")}>
                <Code block>{failure.traceback.join("")}</Code>
              </ScrollArea>
            </details>
          )}
        </>
      )}
    </Stack>
  );
}
