import { type JobDetail } from "@genga/client";
import { type ReactNode } from "react";
import { Facts } from "../../parts/facts.tsx";
import { Section } from "../../parts/section.tsx";
import { Ago, durationText } from "../../parts/times.tsx";

export function JobFacts({ job }: { job: JobDetail }): ReactNode {
  const { startedAt, finishedAt, eta } = job;
  return (
    <Section title="This job">
      <Facts
        facts={[
          ["Id", <code key="id">{job.id}</code>],
          ["Type", job.type],
          ["Server", job.server?.name ?? null],
          ["Priority", job.priority],
          ["Needs labels", job.requires.join(", ")],
          ["Submitted", <Ago key="submitted" at={job.createdAt} />],
          ["Begins after", job.runAt === null ? null : <Ago key="run" at={job.runAt} />],
          ["Started", startedAt === null ? null : <Ago key="started" at={startedAt} />],
          ["Finished", finishedAt === null ? null : <Ago key="finished" at={finishedAt} />],
          [
            "Ran for",
            startedAt !== null && finishedAt !== null
              ? durationText(Date.parse(finishedAt) - Date.parse(startedAt))
              : null,
          ],
          ["Expected end", eta === null ? null : new Date(eta.endsAt.expected).toLocaleTimeString()],
          ["No estimate", eta === null && job.etaReason?.code !== "ended" ? job.etaReason?.message : null],
          ["Attempts", `${job.attempt} (at most ${job.attemptsMax} that fail by a node)`],
          ["Time limit", durationText(job.timeoutMs)],
        ]}
      />
    </Section>
  );
}
