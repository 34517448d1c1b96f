import { type Batch } from "@genga/client";
import { Group, Progress, Text } from "@mantine/core";
import { type ReactNode } from "react";

const order = ["completed", "processing", "failed", "timeout", "cancelled", "queued"] as const;
const colours = {
  completed: "teal",
  processing: "blue",
  failed: "red",
  timeout: "orange",
  cancelled: "dark",
  queued: "gray.4",
} as const;

/** How many jobs of each status: one bar, and the same in words for whoever does not see colours. */
export function CountsBar({ batch, size = "lg" }: { batch: Batch; size?: string }): ReactNode {
  const shown = order.filter((status) => batch.counts[status] > 0);
  const words = shown.map((status) => `${batch.counts[status]} ${status}`).join(", ");
  return (
    <Progress.Root size={size} title={words} role="img" aria-label={words}>
      {shown.map((status) => (
        <Progress.Section
          key={status}
          value={(batch.counts[status] / Math.max(1, batch.total)) * 100}
          color={colours[status]}
          withAria={false}
        />
      ))}
    </Progress.Root>
  );
}

export function CountsText({ batch }: { batch: Batch }): ReactNode {
  return (
    <Group gap="md">
      {order
        .filter((status) => batch.counts[status] > 0)
        .map((status) => (
          <Text key={status} size="sm">
            <span
              aria-hidden
              style={{
                ...{ display: "inline-block", width: 10, height: 10, borderRadius: 2, marginRight: 6 },
                background: `var(--mantine-color-${colours[status].replace(".", "-")}${colours[status].includes(".") ? "" : "-filled"})`,
              }}
            />
            {batch.counts[status]} {status}
          </Text>
        ))}
    </Group>
  );
}
