import { type Job } from "@genga/client";
import { Anchor, Badge, Button, Card, Group, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { bytesText } from "../../parts/bytes-text.ts";
import { JobProgress } from "../../parts/job-progress.tsx";
import { modelName } from "../../parts/model-name.ts";
import { Ago } from "../../parts/times.tsx";
import { useAction } from "../../parts/use-action.tsx";
import { type Server, type ServerOutlook, serverStates, sourceText } from "./server-states.ts";

interface Props {
  readonly server: Server;
  /** What operators see of it besides. */
  readonly outlook: ServerOutlook | undefined;
  /** The tenant's jobs that it has. */
  readonly jobs: readonly Job[];
}

/** One server: how it is, what it has loaded, and what it does. */
export function ServerCard({ server, outlook, jobs }: Props): ReactNode {
  const { colour, text } = serverStates[server.state];
  return (
    <Card withBorder padding="md" component="article" aria-label={`Server ${server.name}`}>
      <Stack gap="xs" h="100%">
        <Group justify="space-between" wrap="nowrap">
          <Text fw={600} truncate title={server.name}>
            {server.name}
          </Text>
          <Group gap={6} wrap="nowrap">
            {server.draining && (
              <Badge color="yellow" variant="filled">
                draining
              </Badge>
            )}
            <Badge color={colour} variant="light">
              {server.state}
            </Badge>
          </Group>
        </Group>
        {server.url !== undefined && (
          <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
            {server.url}
          </Text>
        )}
        <Text
          size="sm"
          {...(server.state === "online" && { c: "dimmed" })}
          style={{ overflowWrap: "anywhere" }}
        >
          {server.stateReason ?? text} <Since at={server.stateSince} />
        </Text>
        <Facts server={server} outlook={outlook} />
        {jobs.slice(0, 4).map((job) => (
          <RunningJob key={job.id} job={job} />
        ))}
        {jobs.length > 4 && (
          <Text size="xs" c="dimmed">
            and {jobs.length - 4} more jobs
          </Text>
        )}
        <Actions server={server} />
      </Stack>
    </Card>
  );
}

function Since({ at }: { at: string }): ReactNode {
  return (
    <Text span size="xs" c="dimmed">
      (<Ago at={at} />)
    </Text>
  );
}

type Fact = readonly [name: string, value: ReactNode];

function Facts({ server, outlook }: Omit<Props, "jobs">): ReactNode {
  const { slots, jobsHeld } = server;
  const next = outlook?.next;
  const facts: readonly Fact[] = [
    ["Loaded model", outlook && (outlook.loadedModel === null ? "none" : modelName(outlook.loadedModel))],
    ["Lane", outlook && (outlook.lane ?? "none")],
    ["Jobs it has", slots === undefined ? undefined : `${jobsHeld ?? 0} of ${slots}`],
    ["Next", next && `${next.lane} (${next.reason}${next.loads ? ", loads a model" : ""})`],
    ...(server.devices ?? []).map((device): Fact => [memoryLabel(device), <Memory {...device} />]),
    ["ComfyUI", server.version ?? "not known yet"],
    ["Labels", server.labels.length === 0 ? undefined : server.labels.join(", ")],
    ["Named by", server.source && sourceText(server)],
    ["Credentials", server.credential ?? undefined],
    ["Recycling", server.recycling?.reason],
    ["Last recycled", server.lastRecycle && <LastRecycle last={server.lastRecycle} />],
    ["Worker", server.worker ?? undefined],
  ];
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value !== undefined && value !== null)
        .map(([name, value], index) => (
          <div key={index}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

type Device = NonNullable<Server["devices"]>[number];

/** Of a server without a GPU it is that of the machine. */
const memoryLabel = ({ type }: Device): string => (type === "cpu" ? "Memory" : "VRAM");

function Memory({ name, vramFreeBytes, vramTotalBytes }: Device): ReactNode {
  return (
    <span title={name}>
      {bytesText(vramFreeBytes)} of {bytesText(vramTotalBytes)} free
    </span>
  );
}

function LastRecycle({ last }: { last: NonNullable<Server["lastRecycle"]> }): ReactNode {
  const { at, reason, outcome, message } = last;
  return (
    <span title={message ?? undefined}>
      <Ago at={at} />, {reason}
      {outcome !== "done" && ` (${outcome}: ${message ?? "no reason known"})`}
    </span>
  );
}

function RunningJob({ job }: { job: Job }): ReactNode {
  return (
    <Stack gap={2}>
      <Anchor
        size="sm"
        truncate
        dir="auto"
        renderRoot={(props) => <Link to="/jobs/$id" params={{ id: job.id }} preload={false} {...props} />}
      >
        {job.prompt ?? job.id}
      </Anchor>
      <JobProgress job={job} />
    </Stack>
  );
}

function Actions({ server }: { server: Server }): ReactNode {
  const { id, name, state, draining, recycling } = server;
  const may = useMay();
  const ask = useAction();
  if (!may("operate")) return null;
  const path = { params: { path: { id } } };
  const changes = [keys.servers(), keys.queue()];
  return (
    <Group gap="xs" mt="auto" pt="xs">
      {draining ? (
        <Button
          size="compact-sm"
          variant="light"
          onClick={() => {
            ask({
              ...{ title: `Give ${name} work again?`, confirm: "Resume", changes },
              text: "It takes jobs from its lanes at once.",
              act: () => genga.http.POST("/api/anime/servers/{id}/resume", path),
              done: `${name} gets work again.`,
            });
          }}
        >
          Resume
        </Button>
      ) : (
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => {
            ask({
              ...{ title: `Drain ${name}?`, confirm: "Drain", changes },
              text: "It gets no new jobs until it is resumed. What it has goes on to its end.",
              act: () => genga.http.POST("/api/anime/servers/{id}/drain", path),
              done: `${name} gets no new jobs.`,
            });
          }}
        >
          Drain
        </Button>
      )}
      {state !== "retired" && (
        <Button
          size="compact-sm"
          variant="default"
          disabled={recycling !== null && recycling !== undefined}
          onClick={() => {
            ask({
              ...{ title: `Recycle ${name}?`, confirm: "Recycle", changes },
              text: "It gets no new jobs, and what it has goes on to its end. Then its memory is freed, and the hook of its worker runs, if there is one.",
              act: () => genga.http.POST("/api/anime/servers/{id}/recycle", path),
              done: `${name} is recycled as soon as it can be.`,
            });
          }}
        >
          Recycle
        </Button>
      )}
      <Remove server={server} />
    </Group>
  );
}

/** Of a server that was added here, or that nothing names any more. */
function Remove({ server: { id, name, state, isAdded } }: { server: Server }): ReactNode {
  const ask = useAction();
  if (state !== "retired" && isAdded !== true) return null;
  const path = { params: { path: { id } } };
  return (
    <Button
      size="compact-sm"
      variant="light"
      color="red"
      onClick={() => {
        ask({
          ...{ title: `Remove ${name}?`, confirm: "Remove", isDangerous: true },
          changes: [keys.servers(), keys.queue()],
          text:
            isAdded === true
              ? "It gets no new jobs. What it has goes on to its end there; then it is gone, and so are its credentials. The history of its jobs stays."
              : "The history of its jobs stays. It comes back when a worker's configuration names it again.",
          act: () => genga.http.DELETE("/api/anime/servers/{id}", path),
          done: `${name} is removed.`,
        });
      }}
    >
      Remove
    </Button>
  );
}
