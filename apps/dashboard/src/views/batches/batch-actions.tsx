import { type BatchDetail } from "@genga/client";
import { Button, Group, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import {
  IconDots,
  IconDownload,
  IconPlayerPause,
  IconPlayerPlay,
  IconRefresh,
  IconTrash,
  IconX,
} from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { dataOf, genga, localUrl } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { ask } from "../../parts/ask.tsx";
import { useOnce } from "../../parts/use-once.ts";

const priorities = ["urgent", "high", "normal", "low"] as const;

/** What may be done with the batch now; the zip is for everybody who may read. */
export function BatchActions({ batch }: { batch: BatchDetail }): ReactNode {
  const may = useMay();
  const actions = useActions(batch.id);
  const { zip } = batch.links;
  return (
    <Group gap="xs">
      {zip !== undefined && (
        <Button
          component="a"
          href={localUrl(zip)}
          download
          variant="default"
          leftSection={<IconDownload size={16} aria-hidden />}
        >
          Zip
        </Button>
      )}
      {may("submit") && <Changes batch={batch} actions={actions} />}
    </Group>
  );
}

function Changes({
  batch,
  actions,
}: {
  batch: BatchDetail;
  actions: ReturnType<typeof useActions>;
}): ReactNode {
  const failed = batch.counts.failed + batch.counts.timeout;
  const { run, isRunning } = actions;
  return (
    <>
      {failed > 0 && (
        <Button
          leftSection={<IconRefresh size={16} aria-hidden />}
          onClick={() => run("retry")}
          loading={isRunning("retry")}
        >
          Retry {failed} failed
        </Button>
      )}
      {!batch.done &&
        (batch.pausedAt === null ? (
          <Button
            variant="default"
            leftSection={<IconPlayerPause size={16} aria-hidden />}
            onClick={() => run("pause")}
            loading={isRunning("pause")}
          >
            Pause
          </Button>
        ) : (
          <Button
            leftSection={<IconPlayerPlay size={16} aria-hidden />}
            onClick={() => run("resume")}
            loading={isRunning("resume")}
          >
            Resume
          </Button>
        ))}
      {!batch.done && (
        <Button
          color="red"
          variant="light"
          leftSection={<IconX size={16} aria-hidden />}
          onClick={() => {
            confirm(
              "Cancel this batch?",
              "All of its jobs that have not ended are cancelled.",
              "Cancel the jobs",
              () => run("cancel"),
            );
          }}
        >
          Cancel
        </Button>
      )}
      {batch.done ? (
        <Button
          variant="default"
          color="red"
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={() => {
            confirm(
              "Remove this batch?",
              "All of its jobs and their outputs are deleted for good.",
              "Remove",
              () => run("remove"),
            );
          }}
        >
          Remove
        </Button>
      ) : (
        <Menu position="bottom-end" withinPortal>
          <Menu.Target>
            <Button variant="default" aria-label="More actions" px="xs">
              <IconDots size={18} aria-hidden />
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Label>Priority of what waits</Menu.Label>
            {priorities.map((priority) => (
              <Menu.Item key={priority} onClick={() => actions.prioritise(priority)}>
                {priority}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
    </>
  );
}

function confirm(title: string, text: string, label: string, onConfirm: () => void): void {
  ask({ title, text, confirm: label, cancel: "Keep", color: "red", onConfirm });
}

type Action = "cancel" | "pause" | "resume" | "retry" | "remove";

function useActions(id: string) {
  const queries = useQueryClient();
  const onSuccess = (message: string): void => {
    notifications.show({ message });
    for (const queryKey of [keys.batches(), keys.jobs()]) void queries.invalidateQueries({ queryKey });
  };
  const onError = (error: unknown): void => {
    const { title, detail } = messageOf(error);
    notifications.show({ color: "red", title, message: detail, autoClose: 10_000 });
  };
  const mutationKey = ["batch-action", id];
  const once = useOnce(mutationKey);
  const running = useMutation({
    mutationFn: (action: Action) => perform(id, action),
    ...{ mutationKey, onSuccess, onError },
  });
  const prioritising = useMutation({
    mutationFn: async (priority: (typeof priorities)[number]) => {
      const init = { params: { path: { id } }, body: { priority } } as const;
      await dataOf(genga.http.POST("/api/anime/batches/{id}/priority", init));
      return `What waits has the priority ${priority} now.`;
    },
    ...{ mutationKey, onSuccess, onError },
  });
  return {
    run: (action: Action) => once(() => running.mutate(action)),
    isRunning: (action: Action) => running.isPending && running.variables === action,
    prioritise: (priority: (typeof priorities)[number]) => once(() => prioritising.mutate(priority)),
  };
}

/** @returns what has happened, in words */
async function perform(id: string, action: Action): Promise<string> {
  const init = { params: { path: { id } } } as const;
  switch (action) {
    case "cancel": {
      const { cancelled, requested } = await dataOf(genga.http.POST("/api/anime/batches/{id}/cancel", init));
      const asked =
        requested > 0 ? `, and the servers of ${requested} running ones were asked to stop them` : "";
      return `${cancelled} waiting jobs are cancelled${asked}.`;
    }
    case "retry": {
      const { retried } = await dataOf(genga.http.POST("/api/anime/batches/{id}/retry", init));
      return `${retried} jobs are queued again.`;
    }
    case "pause":
      await dataOf(genga.http.POST("/api/anime/batches/{id}/pause", init));
      return "Paused. Running jobs go on.";
    case "resume":
      await dataOf(genga.http.POST("/api/anime/batches/{id}/resume", init));
      return "Resumed.";
    case "remove":
      await genga.http.DELETE("/api/anime/batches/{id}", init);
      return "The batch was removed.";
  }
}
