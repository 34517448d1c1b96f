import { Alert } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { type ReactNode } from "react";
import { useOutage } from "../connection/outage.tsx";
import { Moment } from "../parts/times.tsx";

const titles = {
  api: "The API does not answer.",
  database: "The database does not answer.",
  some: "Some of this view could not be read again.",
} as const;

/** Above every view, while it may show what is no longer true. */
export function OutageNotice(): ReactNode {
  const outage = useOutage();
  if (outage === undefined) return null;
  return (
    <Alert
      color="red"
      mb="md"
      role="alert"
      icon={<IconPlugConnectedX aria-hidden />}
      title={titles[outage.missing]}
    >
      {outage.readAt !== undefined && (
        <>
          What is shown is from <Moment at={new Date(outage.readAt).toISOString()} />.{" "}
        </>
      )}
      The page tries again by itself.
    </Alert>
  );
}
