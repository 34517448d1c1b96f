import { type Job } from "@genga/client";
import { Button, CloseButton, Group, Paper, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { genga } from "../../connection/genga.ts";
import { ask } from "../../parts/ask.tsx";
import { doToEach, resultText } from "./bulk-actions.ts";

const hasEnded = ({ status }: Job): boolean => status !== "queued" && status !== "processing";

interface Action {
  readonly name: string;
  readonly participle: string;
  readonly colour?: string;
  readonly act: (id: string) => Promise<unknown>;
  /** Of what is known of the job. The API decides. */
  readonly isPossible: (job: Job) => boolean;
  readonly consequence: string;
}

const actions: readonly Action[] = [
  {
    name: "Cancel",
    participle: "cancelled",
    act: (id) => genga.cancel(id),
    isPossible: (job) => !hasEnded(job),
    consequence: "Running ones are stopped, and what they made so far is lost.",
  },
  {
    name: "Retry",
    participle: "queued again",
    act: (id) => genga.retry(id),
    isPossible: (job) => hasEnded(job) && job.status !== "completed",
    consequence: "They wait for a server again.",
  },
  {
    name: "Remove",
    participle: "removed",
    colour: "red",
    act: (id) => genga.http.DELETE("/api/anime/jobs/{id}", { params: { path: { id } } }),
    isPossible: hasEnded,
    consequence: "Their outputs are removed with them. This cannot be undone.",
  },
];

/** What can be done with the chosen jobs together. */
export function ChosenJobs({
  jobs: chosen,
  onDone,
}: {
  jobs: readonly Job[];
  onDone: () => void;
}): ReactNode {
  const queries = useQueryClient();
  const [underWay, setUnderWay] = useState<string>();
  if (chosen.length === 0) return null;
  const run = async (action: Action, jobs: readonly Job[]): Promise<void> => {
    setUnderWay(`0 of ${jobs.length}`);
    const result = await doToEach(jobs, action.act, (ended) => {
      setUnderWay(`${ended} of ${jobs.length}`);
    });
    setUnderWay(undefined);
    onDone();
    const isWhole = result.refused.size === 0;
    notifications.show({
      ...{ color: isWhole ? "teal" : "orange", title: isWhole ? "Done" : "Not all were done" },
      message: (
        <Text size="sm" style={{ whiteSpace: "pre-line" }}>
          {resultText(result, action.participle)}
        </Text>
      ),
      autoClose: isWhole ? 5_000 : 15_000,
    });
    await queries.invalidateQueries({ queryKey: ["jobs"] });
  };
  return (
    <div className="chosen-jobs">
      <Paper withBorder shadow="md" p="xs" role="region" aria-label="Chosen jobs">
        <Group gap="xs" justify="center">
          <Text size="sm" role="status">
            {underWay ?? `${chosen.length} chosen`}
          </Text>
          {actions.map((action) => (
            <Button
              key={action.name}
              size="compact-sm"
              variant="light"
              {...(action.colour !== undefined && { color: action.colour })}
              disabled={underWay !== undefined}
              onClick={() => {
                confirm(action, chosen, (jobs) => void run(action, jobs));
              }}
            >
              {action.name}
            </Button>
          ))}
          <CloseButton size="sm" aria-label="Choose none" onClick={onDone} />
        </Group>
      </Paper>
    </div>
  );
}

function confirm(action: Action, jobs: readonly Job[], then: (jobs: readonly Job[]) => void): void {
  const possible = jobs.filter(action.isPossible);
  const others = jobs.length - possible.length;
  const count = (number: number): string => (number === 1 ? "1 job" : `${number} jobs`);
  const verb = action.name.toLowerCase();
  if (possible.length === 0) {
    modals.open({
      title: `Nothing to ${verb}`,
      children: (
        <Text size="sm">None of the chosen jobs can be {action.participle} in its present state.</Text>
      ),
    });
    return;
  }
  const leftOut = ` ${count(others)} of the chosen cannot be ${action.participle} now, and will be left as they are.`;
  ask({
    title: `${action.name} ${count(possible.length)}?`,
    text: `${action.consequence}${others > 0 ? leftOut : ""}`,
    confirm: `${action.name} ${count(possible.length)}`,
    cancel: "Leave them",
    ...(action.colour !== undefined && { color: action.colour }),
    onConfirm: () => {
      then(possible);
    },
  });
}
