import { type PreviewNote } from "@genga/jobs";
import { prefix } from "../http/paths.ts";

/** What a stream says of a new picture: where it is. */
interface PreviewView {
  jobId: string;
  attempt: number;
  links: { preview: string };
}

/** How a stream hears of new pictures of one job, or of those of a batch or tenant. */
export interface WatchedPreviews {
  /** @returns what ends it */
  watch: (tell: (note: PreviewNote) => void) => () => void;
  viewOf: (note: PreviewNote) => PreviewView;
}

/** The part of `LivePreviews` that streams use. */
interface Watchable {
  watch: (id: string, tell: (note: PreviewNote) => void) => () => void;
}

/** @param id of a job, a batch or a tenant */
export function watchedPreviews(id: string, previews: Watchable, baseUrl: string): WatchedPreviews {
  return {
    watch: (tell) => previews.watch(id, tell),
    viewOf: ({ jobId, attempt }) => ({
      ...{ jobId, attempt },
      links: { preview: `${baseUrl}${prefix}/jobs/${jobId}/preview` },
    }),
  };
}
