import { type JobDetail, type JobStatus } from "@genga/client";
import { Button, Group, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import {
  IconDots,
  IconPlayerPause,
  IconPlayerPlay,
  IconRefresh,
  IconRepeat,
  IconTrash,
  IconX,
} from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { useBodyKey } from "../../connection/use-body-key.ts";
import { ask } from "../../parts/ask.tsx";
import { useOnce } from "../../parts/use-once.ts";

const route = getRouteApi("/frame/jobs/$id");
const priorities = ["urgent", "high", "normal", "low"] as const;
const ended: readonly JobStatus[] = ["completed", "failed", "timeout", "cancelled"];

/** What may be done with the job now, by whoever may change jobs. */
export function JobActions({ job }: { job: JobDetail }): ReactNode {
  const may = useMay();
  const actions = useActions(job.id);
  const navigate = route.useNavigate();
  if (!may("submit")) return null;
  const hasEnded = ended.includes(job.status);
  const canRetry = hasEnded && job.status !== "completed";
  const openForm = (): void =>
    void navigate({ search: (old) => ({ ...old, rerun: true }), resetScroll: false });
  return (
    <Group gap="xs">
      {!hasEnded && (
        <Button
          color="red"
          variant="light"
          leftSection={<IconX size={16} aria-hidden />}
          onClick={() => actions.once(() => actions.cancel.mutate(undefined))}
          loading={actions.cancel.isPending}
          disabled={job.cancelRequestedAt !== null}
        >
          Cancel
        </Button>
      )}
      {canRetry && (
        <Button
          leftSection={<IconRefresh size={16} aria-hidden />}
          onClick={() => actions.once(() => actions.retry.mutate(undefined))}
          loading={actions.retry.isPending}
        >
          Retry
        </Button>
      )}
      <Button
        variant={canRetry ? "default" : "filled"}
        leftSection={<IconRepeat size={16} aria-hidden />}
        onClick={openForm}
      >
        Rerun with changes
      </Button>
      <More job={job} actions={actions} hasEnded={hasEnded} />
    </Group>
  );
}

function More({
  job,
  actions,
  hasEnded,
}: {
  job: JobDetail;
  actions: ReturnType<typeof useActions>;
  hasEnded: boolean;
}): ReactNode {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button variant="default" aria-label="More actions" px="xs">
          <IconDots size={18} aria-hidden />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<IconRepeat size={16} aria-hidden />}
          onClick={() => actions.once(() => actions.rerun.mutate(undefined))}
        >
          Rerun exactly (same seed)
        </Menu.Item>
        {job.status === "queued" && (
          <>
            {job.pausedAt === null ? (
              <Menu.Item
                leftSection={<IconPlayerPause size={16} aria-hidden />}
                onClick={() => actions.once(() => actions.pause.mutate(undefined))}
              >
                Pause
              </Menu.Item>
            ) : (
              <Menu.Item
                leftSection={<IconPlayerPlay size={16} aria-hidden />}
                onClick={() => actions.once(() => actions.resume.mutate(undefined))}
              >
                Resume
              </Menu.Item>
            )}
            <Menu.Label>Priority</Menu.Label>
            {priorities.map((priority) => (
              <Menu.Item
                key={priority}
                disabled={priority === job.priority}
                aria-current={priority === job.priority}
                onClick={() => actions.once(() => actions.prioritise.mutate(priority))}
              >
                {priority}
              </Menu.Item>
            ))}
          </>
        )}
        {hasEnded && (
          <>
            <Menu.Divider />
            <Menu.Item
              color="red"
              leftSection={<IconTrash size={16} aria-hidden />}
              onClick={() => confirmRemoval(() => actions.once(() => actions.remove.mutate(undefined)))}
            >
              Remove
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function confirmRemoval(onConfirm: () => void): void {
  ask({
    title: "Remove this job?",
    text: "The job and its outputs are deleted for good.",
    ...{ confirm: "Remove", cancel: "Keep", color: "red", onConfirm },
  });
}

function useActions(id: string) {
  const queries = useQueryClient();
  const navigate = route.useNavigate();
  const params = { params: { path: { id } } } as const;
  const taken = (job: unknown): void => {
    queries.setQueryData(keys.job(id), job);
    void queries.invalidateQueries({ queryKey: keys.job(id) });
    void queries.invalidateQueries({ queryKey: keys.jobs() });
  };
  const onError = showError;
  const keyOf = useBodyKey();
  const mutationKey = ["job-action", id];
  return {
    once: useOnce(mutationKey),
    cancel: useMutation({
      mutationKey,
      mutationFn: () => genga.cancel({ id }) as Promise<JobDetail>,
      onSuccess: (job) => {
        taken(job);
        tellCancelled(job);
      },
      onError,
    }),
    retry: useMutation({
      mutationKey,
      mutationFn: () => dataOf(genga.http.POST("/api/anime/jobs/{id}/retry", params)),
      onSuccess: (job) => {
        taken(job);
        notifications.show({ message: "The job is queued again." });
      },
      onError,
    }),
    rerun: useMutation({
      mutationKey,
      mutationFn: () => {
        // Pressed again after its answer was lost, it is the same rerun.
        const init = { params: { path: { id }, header: { "Idempotency-Key": keyOf("exactly") } } };
        return dataOf(genga.http.POST("/api/anime/jobs/{id}/rerun", init as never));
      },
      onSuccess: (made: { id: string }) => {
        notifications.show({ message: "The job is made again; this is the new one." });
        return navigate({ to: "/jobs/$id", params: { id: made.id }, search: {} });
      },
      onError,
    }),
    pause: useMutation({
      mutationKey,
      mutationFn: () => dataOf(genga.http.POST("/api/anime/jobs/{id}/pause", params)),
      ...{ onSuccess: taken, onError },
    }),
    resume: useMutation({
      mutationKey,
      mutationFn: () => dataOf(genga.http.POST("/api/anime/jobs/{id}/resume", params)),
      ...{ onSuccess: taken, onError },
    }),
    prioritise: useMutation({
      mutationKey,
      mutationFn: (priority: (typeof priorities)[number]) =>
        dataOf(genga.http.POST("/api/anime/jobs/{id}/priority", { ...params, body: { priority } })),
      ...{ onSuccess: taken, onError },
    }),
    remove: useMutation({
      mutationKey,
      mutationFn: () => genga.http.DELETE("/api/anime/jobs/{id}", params),
      onSuccess: () => {
        void queries.invalidateQueries({ queryKey: keys.jobs() });
        void queries.invalidateQueries({ queryKey: keys.batches() });
        notifications.show({ message: "The job was removed." });
        return queries.invalidateQueries({ queryKey: keys.job(id) });
      },
      onError,
    }),
  };
}

function tellCancelled(job: JobDetail): void {
  const message =
    job.status === "cancelled"
      ? "The job was waiting, and is cancelled."
      : job.cancelTooLate
        ? "The prompt had succeeded already: the job is completed."
        : "Its server was asked to stop the prompt.";
  notifications.show({ title: "Cancel", message });
}

function showError(error: unknown): void {
  const { title, detail } = messageOf(error);
  notifications.show({ color: "red", title, message: detail, autoClose: 10_000 });
}
