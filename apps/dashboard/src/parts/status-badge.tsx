import { Badge } from "@mantine/core";
import { type JobStatus } from "@genga/client";
import { type ReactNode } from "react";

/** Told by its word as well as by its colour. */
const colours: Record<JobStatus, string> = {
  queued: "gray",
  processing: "blue",
  completed: "teal",
  failed: "red",
  timeout: "orange",
  cancelled: "dark",
};

export function StatusBadge({ status }: { status: JobStatus }): ReactNode {
  return (
    <Badge color={colours[status]} variant="light" w={100} style={{ flex: "none" }}>
      {status}
    </Badge>
  );
}
