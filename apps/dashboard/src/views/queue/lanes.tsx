import { Badge, Button, Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { modelName } from "../../parts/model-name.ts";
import { Ago, durationText } from "../../parts/times.tsx";
import { useAction } from "../../parts/use-action.tsx";
import { type ShownLane } from "./waiting-lanes.ts";

const shownMax = 60;

/** Jobs that need the same of a server wait in one lane. */
export function Lanes({ lanes, isOfAll }: { lanes: readonly ShownLane[]; isOfAll: boolean }): ReactNode {
  if (lanes.length === 0)
    return <EmptyState title="Nothing waits" text="Each job that was submitted has begun, or has ended." />;
  return (
    <Stack gap="xs">
      <Title order={3} size="h4">
        Lanes{isOfAll && " of all tenants"}
      </Title>
      <Text size="sm" c="dimmed">
        Jobs that need the same model and abilities of a server wait in one lane.
      </Text>
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
        {lanes.slice(0, shownMax).map((lane) => (
          <LaneCard key={lane.lane} lane={lane} />
        ))}
      </SimpleGrid>
      {lanes.length > shownMax && (
        <Text size="sm" c="dimmed">
          and {lanes.length - shownMax} more lanes with fewer jobs
        </Text>
      )}
    </Stack>
  );
}

const bands = ["urgent", "high", "normal", "low"] as const;

function LaneCard({ lane: { lane, queued, processing, outlook } }: { lane: ShownLane }): ReactNode {
  const model = outlook?.model ?? null;
  const isPaused = outlook !== undefined && outlook.pausedSince !== null;
  return (
    <Card withBorder padding="md" component="article" aria-label={`Lane ${lane}`}>
      <Stack gap={6} h="100%">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <Text fw={600} style={{ overflowWrap: "anywhere" }}>
            {model === null ? lane : modelName(model)}
          </Text>
          {isPaused && (
            <Badge color="yellow" variant="filled" flex="none">
              paused
            </Badge>
          )}
        </Group>
        {model !== null && (
          <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
            {lane}
          </Text>
        )}
        <Text>
          <b>{queued}</b> waiting, <b>{processing}</b> running
        </Text>
        {outlook !== undefined && (
          <>
            <Group gap={6}>
              {bands
                .filter((band) => outlook.bands[band] > 0)
                .map((band) => (
                  <Badge key={band} variant="outline" color={band === "urgent" ? "red" : "gray"} size="sm">
                    {outlook.bands[band]} {band}
                  </Badge>
                ))}
            </Group>
            <Text size="sm" c="dimmed">
              Filled <Ago at={outlook.waitingSince} />
              {outlook.lastServedAt !== null && (
                <>
                  , last served <Ago at={outlook.lastServedAt} />
                </>
              )}
              {outlook.runMs !== null && `; a run takes ${durationText(outlook.runMs)}`}
              {outlook.loadMs !== null && `, loading its model ${durationText(outlook.loadMs)}`}
            </Text>
            <LaneSwitch name={lane} isPaused={isPaused} />
          </>
        )}
      </Stack>
    </Card>
  );
}

function LaneSwitch({ name, isPaused }: { name: string; isPaused: boolean }): ReactNode {
  const may = useMay();
  const ask = useAction();
  // Jobs that could not be told apart wait in this one; it cannot be paused.
  if (!may("operate") || name === "default") return null;
  const path = { params: { path: { name } } };
  const verb = isPaused ? "Resume" : "Pause";
  return (
    <Group mt="auto" pt="xs">
      <Button
        size="compact-sm"
        variant="default"
        aria-label={`${verb} the lane ${name}`}
        onClick={() => {
          ask({
            ...{ title: `${verb} the lane ${name}?`, confirm: verb, changes: [keys.queue()] },
            text: isPaused
              ? "Its jobs begin again as servers get free."
              : "None of its jobs begins until it is resumed. Those that run go on, and new ones are accepted.",
            act: () =>
              isPaused
                ? dataOf(genga.http.POST("/api/anime/lanes/{name}/resume", path))
                : dataOf(genga.http.POST("/api/anime/lanes/{name}/pause", path)),
            done: isPaused ? "The lane goes on." : "The lane is paused.",
          });
        }}
      >
        {verb}
      </Button>
    </Group>
  );
}
