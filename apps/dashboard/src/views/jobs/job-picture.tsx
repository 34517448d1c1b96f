import { type Job } from "@genga/client";
import { useQuery } from "@tanstack/react-query";
import { IconHourglass, IconMovie, IconPhoto, IconSchema, IconX } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef } from "react";
import { genga, localUrl } from "../../connection/genga.ts";
import { useLive } from "../../connection/live-jobs.ts";

/** How often a running job in sight is asked for its latest preview. */
const previewMs = 3_000;

/** The picture of a job in a list: its thumbnail, the latest preview while it runs, or a sign of what it is. */
export function JobPicture({ job, size }: { job: Job; size: number }): ReactNode {
  const { phase } = useLive(job);
  const isExecuting = job.status === "processing" && phase === "executing";
  const preview = usePreview(job, isExecuting);
  const { thumbnail } = job.links;
  return (
    <span className="job-picture" style={{ width: size, height: size }}>
      {preview !== null ? (
        <Preview picture={preview} />
      ) : thumbnail === undefined ? (
        <Sign job={job} />
      ) : (
        <img src={`${localUrl(thumbnail)}?size=128`} alt="" loading="lazy" decoding="async" />
      )}
    </span>
  );
}

function Preview({ picture }: { picture: Blob }): ReactNode {
  const image = useRef<HTMLImageElement>(null);
  useEffect(() => {
    const url = URL.createObjectURL(picture);
    if (image.current !== null) image.current.src = url;
    return () => {
      URL.revokeObjectURL(url);
    };
  }, [picture]);
  return <img ref={image} alt="" />;
}

function Sign({ job: { status, type } }: { job: Job }): ReactNode {
  const signs = { image: IconPhoto, video: IconMovie, workflow: IconSchema };
  const hasNone = status === "failed" || status === "timeout" || status === "cancelled";
  const Icon = status === "queued" ? IconHourglass : hasNone ? IconX : signs[type];
  return <Icon size={20} stroke={1.5} aria-hidden />;
}

/** The latest preview of a running job; null while there is none. */
function usePreview({ id, attempt }: Job, isWanted: boolean): Blob | null {
  const { data: picture } = useQuery({
    queryKey: ["small-preview", id, attempt],
    queryFn: async ({ signal }) => {
      const init = { params: { path: { id } }, parseAs: "blob", signal } as const;
      const { data, response } = await genga.http.GET("/api/anime/jobs/{id}/preview", init);
      const content: unknown = data;
      return response.status === 200 && content instanceof Blob ? content : null;
    },
    ...{ enabled: isWanted, refetchInterval: previewMs, staleTime: previewMs, gcTime: previewMs },
  });
  return isWanted && picture instanceof Blob ? picture : null;
}
