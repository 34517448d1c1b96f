import { type Job } from "@genga/client";
import { ActionIcon, Group, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { localUrl } from "../../connection/genga.ts";
import { useLive } from "../../connection/live-jobs.ts";

const borders = {
  pick: "3px solid var(--mantine-color-teal-filled)",
  reject: "3px solid var(--mantine-color-red-filled)",
  none: "1px solid var(--mantine-color-default-border)",
};
const words = { pick: "picked", reject: "rejected" } as const;

/** One job: its picture, its place in the batch, and its mark by a border, a sign and a word. */
export function SheetCell({
  job,
  place,
  isCurrent,
  mayMark,
  onFocus,
  onMark,
}: {
  job: Job;
  place: number;
  isCurrent: boolean;
  mayMark: boolean;
  onFocus: (place: number) => void;
  onMark: (mark: "pick" | "reject") => void;
}): ReactNode {
  const number = (job.batchIndex ?? place) + 1;
  const label = [`Job ${number}`, job.status, job.mark === null ? null : words[job.mark]].filter(
    (part) => part !== null,
  );
  return (
    <div
      role="gridcell"
      style={{
        border: borders[job.mark ?? "none"],
        borderRadius: 8,
        padding: 6,
        overflow: "hidden",
        height: "100%",
      }}
    >
      <Link
        to="/jobs/$id"
        params={{ id: job.id }}
        aria-label={label.join(", ")}
        data-place={place}
        tabIndex={isCurrent ? 0 : -1}
        onFocus={() => onFocus(place)}
        style={{ display: "block", height: 160, color: "inherit", textDecoration: "none" }}
        preload={false}
      >
        <Picture job={job} />
      </Link>
      <Group gap={4} wrap="nowrap" justify="space-between" h={36}>
        <Text size="xs" truncate>
          {number}
          {job.mark !== null && ` ${words[job.mark]}`}
        </Text>
        {mayMark && (
          <Group gap={2} wrap="nowrap">
            <MarkButton
              name="Pick"
              number={number}
              isOn={job.mark === "pick"}
              onClick={() => onMark("pick")}
            />
            <MarkButton
              name="Reject"
              number={number}
              isOn={job.mark === "reject"}
              onClick={() => onMark("reject")}
            />
          </Group>
        )}
      </Group>
    </div>
  );
}

function MarkButton({
  name,
  number,
  isOn,
  onClick,
}: {
  name: "Pick" | "Reject";
  number: number;
  isOn: boolean;
  onClick: () => void;
}): ReactNode {
  const Icon = name === "Pick" ? IconCheck : IconX;
  return (
    <ActionIcon
      size="md"
      tabIndex={-1}
      variant={isOn ? "filled" : "subtle"}
      color={name === "Pick" ? "teal" : "red"}
      aria-label={`${name} job ${number}`}
      aria-pressed={isOn}
      onClick={onClick}
    >
      <Icon size={16} aria-hidden />
    </ActionIcon>
  );
}

function Picture({ job }: { job: Job }): ReactNode {
  const { progress } = useLive(job);
  const { thumbnail } = job.links;
  if (thumbnail !== undefined)
    return (
      <img
        src={`${localUrl(thumbnail)}?size=256`}
        alt=""
        loading="lazy"
        style={{ width: "100%", height: "100%", objectFit: "contain" }}
      />
    );
  return (
    <Group h="100%" justify="center" align="center">
      <Text size="sm" c="dimmed" ta="center">
        {job.status}
        {job.status === "processing" && ` ${Math.floor(progress.percent)} %`}
      </Text>
    </Group>
  );
}
