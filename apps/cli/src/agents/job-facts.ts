import { type JobDetail } from "@genga/client";

/** What an agent needs to know of a job, without what only programs want. */
export function jobFacts(job: JobDetail): object {
  const { id, type, status, prompt, progress, server, failure, waitingFor, eta, outputs, warnings } = job;
  return {
    ...{ id, type, status, prompt },
    progress: {
      percent: progress.percent,
      node: progress.nodeTitle,
      step: progress.step,
      steps: progress.steps,
    },
    server: server?.name ?? null,
    failure,
    waitingFor: waitingFor?.message ?? null,
    endsAt: eta?.endsAt.expected ?? null,
    outputs: outputs.map(({ index, filename, mediaType, bytes, width, height, durationMs, links }) => ({
      ...{ index, filename, mediaType, bytes, width, height, durationMs },
      url: links.content,
    })),
    ...(warnings.length > 0 && { warnings }),
  };
}
