import { type JobDetail } from "@genga/client";
import { Anchor, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { batchQuery } from "../../connection/queries.ts";
import { Facts } from "../../parts/facts.tsx";
import { Section } from "../../parts/section.tsx";

/** Where the job comes from, and what it stands with. */
export function JobOrigin({ job }: { job: JobDetail }): ReactNode {
  const facts = [
    [
      "Batch",
      job.batchId === null ? null : <BatchLink key="batch" id={job.batchId} index={job.batchIndex} />,
    ],
    ["Key", job.key],
    ["Template", job.template === null ? null : `${job.template.name}, version ${job.template.version}`],
    ["Rerun of", job.rerunOf === null ? null : <JobLink key="rerun" id={job.rerunOf} />],
    ["Answered from", job.reusedFrom === null ? null : <JobLink key="reused" id={job.reusedFrom} />],
    ["Depends on", job.dependsOn.length === 0 ? null : <Needed key="needed" job={job} />],
  ] as const;
  if (facts.every(([, value]) => value === null)) return null;
  return (
    <Section title="Where it comes from">
      <Facts facts={facts} />
    </Section>
  );
}

function BatchLink({ id, index }: { id: string; index: number | null }): ReactNode {
  const { data } = useQuery(batchQuery(id));
  const place = index === null ? "" : ` (${index + 1}${data === undefined ? "" : ` of ${data.total}`})`;
  return (
    <Anchor size="sm" renderRoot={(props) => <Link to="/batches/$id" params={{ id }} {...props} />}>
      {data?.name ?? id}
      {place}
    </Anchor>
  );
}

function JobLink({ id, label = id }: { id: string; label?: string }): ReactNode {
  return (
    <Anchor size="sm" renderRoot={(props) => <Link to="/jobs/$id" params={{ id }} {...props} />}>
      {label}
    </Anchor>
  );
}

function Needed({ job }: { job: JobDetail }): ReactNode {
  return (
    <Stack gap={2}>
      {job.dependsOn.map(({ jobId, key, status, isMet }) => (
        <span key={jobId}>
          <JobLink id={jobId} label={key ?? jobId} /> (
          {isMet && status !== "completed" ? `completed, ${status}` : status})
        </span>
      ))}
    </Stack>
  );
}
