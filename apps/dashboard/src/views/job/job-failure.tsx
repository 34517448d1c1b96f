import { type JobDetail } from "@genga/client";
import { Alert, Anchor, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { type ReactNode } from "react";
import { adviceOn } from "./failure-advice.ts";
import { nodeElementId } from "./node-element.ts";

/** Why it failed, what that means, and what to do. A waiting job shows the failure of its last attempt. */
export function JobFailure({ job }: { job: JobDetail }): ReactNode {
  const { failure } = job;
  if (failure === null || job.status === "completed") return null;
  const { meaning, advice } = adviceOn(failure);
  const hasEnded = job.status !== "queued" && job.status !== "processing";
  return (
    <Alert
      color={hasEnded ? "red" : "yellow"}
      icon={<IconAlertTriangle aria-hidden />}
      title={hasEnded ? meaning : `The last attempt did not succeed: ${meaning}`}
      role={hasEnded ? "alert" : "status"}
    >
      <Stack gap={6}>
        <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {failure.message}
        </Text>
        {failure.nodeId !== null && (
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            Node{" "}
            <Anchor
              size="sm"
              c="inherit"
              td="underline"
              href={`#${nodeElementId(failure.nodeId)}`}
              onClick={focusNode(failure.nodeId)}
            >
              {failure.nodeId}
              {failure.nodeType !== null && ` (${failure.nodeType})`}
            </Anchor>
          </Text>
        )}
        <Text size="sm">
          <b>What to do:</b> {advice}
        </Text>
        <Text size="xs">
          Code <code>{failure.code}</code>
        </Text>
      </Stack>
    </Alert>
  );
}

/** The address of the page keeps what is chosen in it. */
function focusNode(nodeId: string) {
  return (event: { preventDefault: () => void }): void => {
    event.preventDefault();
    const node = document.getElementById(nodeElementId(nodeId));
    node?.scrollIntoView({ block: "center" });
    node?.focus();
  };
}
