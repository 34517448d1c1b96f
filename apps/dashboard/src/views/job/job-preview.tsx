import { type Job } from "@genga/client";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, type ReactNode } from "react";
import { Text } from "@mantine/core";
import { GengaError } from "@genga/client";
import { baseUrl, pageHeaders } from "../../connection/genga.ts";
import { useLive } from "../../connection/live-jobs.ts";
import { Section } from "../../parts/section.tsx";

/** Asked for so often while it is shown: no connection is held for it. */
const previewMs = 1_000;

const reasons: Readonly<Record<string, string>> = {
  "not-running": "There is a preview while the job executes.",
  "none-yet": "Its server has sent no preview yet.",
  "server-sends-none": "Its server sends no previews, unless it is started with --preview-method.",
  ended: "The job has ended.",
};

/** The latest picture of the work in progress; the box keeps its height from the first moment on. */
export function JobPreview({ job }: { job: Job }): ReactNode {
  const { phase } = useLive(job);
  return (
    <Section title="Live preview">
      <div style={{ height: 260, display: "grid", placeItems: "center" }}>
        {phase === "executing" ? <Picture job={job} /> : <Text c="dimmed">{reasons["not-running"]}</Text>}
      </div>
    </Section>
  );
}

function Picture({ job }: { job: Job }): ReactNode {
  const { data } = useQuery({
    queryKey: ["large-preview", job.id, job.attempt],
    queryFn: ({ signal }) => readPreview(job.id, signal),
    refetchInterval: previewMs,
    staleTime: 0,
    gcTime: 0,
    structuralSharing: false,
  });
  const image = useRef<HTMLImageElement>(null);
  const blob = data instanceof Blob ? data : undefined;
  useEffect(() => {
    if (blob === undefined || image.current === null) return;
    const url = URL.createObjectURL(blob);
    image.current.src = url;
    return () => {
      URL.revokeObjectURL(url);
    };
  }, [blob]);
  if (blob !== undefined)
    return <img ref={image} alt="Preview of the picture that is being made" style={fitted} />;
  return (
    <Text c="dimmed">{reasons[typeof data === "string" ? data : "none-yet"] ?? reasons["none-yet"]}</Text>
  );
}

const fitted = { maxWidth: "100%", maxHeight: 260, minHeight: 160, objectFit: "contain" } as const;

/** @returns the picture, or the reason why there is none */
async function readPreview(id: string, signal: AbortSignal): Promise<Blob | string> {
  const response = await fetch(`${baseUrl}/api/anime/jobs/${id}/preview`, {
    ...{ signal, credentials: "same-origin", headers: pageHeaders },
  });
  if (response.status === 204) return response.headers.get("preview-missing") ?? "none-yet";
  if (!response.ok)
    throw new GengaError({
      status: response.status,
      code: "unexpected-answer",
      title: "No preview",
      detail: "",
    });
  return response.blob();
}
