import { Anchor, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { type ChainJob } from "../../connection/queries.ts";
import { StatusBadge } from "../../parts/status-badge.tsx";
import { nameOf } from "./chain-jobs.ts";

export function ChainStatus({ status }: Pick<ChainJob, "status">): ReactNode {
  if (status !== "removed") return <StatusBadge status={status} />;
  return (
    <Text size="xs" c="dimmed" span>
      removed
    </Text>
  );
}

/** Nothing is left of a removed job but its id. */
export function ChainJobLink({
  job,
  isShown,
  size,
}: {
  job: ChainJob;
  isShown: boolean;
  size: "xs" | "sm";
}): ReactNode {
  const name = nameOf(job);
  if (job.status === "removed" || isShown) {
    return (
      <Text size={size} fw={600} truncate title={name} {...(isShown && { "aria-current": "page" as const })}>
        {name}
      </Text>
    );
  }
  return (
    <Anchor
      size={size}
      fw={600}
      truncate
      title={name}
      display="block"
      // Not dragged with the graph.
      className="nopan nodrag"
      style={{ pointerEvents: "all" }}
      renderRoot={(props) => <Link to="/jobs/$id" params={{ id: job.id }} {...props} />}
    >
      {name}
    </Anchor>
  );
}
