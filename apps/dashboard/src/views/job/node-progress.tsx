import { type Job } from "@genga/client";
import { Progress } from "@mantine/core";
import { type ReactNode } from "react";
import { useLive } from "../../connection/live-jobs.ts";

/** How far the running node is, as far as it says. Only this is drawn again with each step. */
export function NodeProgress({ job, width }: { job: Job; width: number | string }): ReactNode {
  const { step, steps } = useLive(job).progress;
  const percent = step !== null && steps !== null && steps > 0 ? Math.min(100, (step / steps) * 100) : null;
  return (
    <Progress
      w={width}
      size="sm"
      value={percent ?? 100}
      animated={percent === null}
      striped={percent === null}
      transitionDuration={150}
      aria-label={percent === null ? "The node runs" : `Step ${step} of ${steps}`}
    />
  );
}
