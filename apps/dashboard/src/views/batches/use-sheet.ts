import { type BatchDetail, type Job } from "@genga/client";
import { notifications } from "@mantine/notifications";
import { type InfiniteData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { type SheetMark } from "./batch-search.ts";
import { type Mark } from "./sheet-keys.ts";

interface Page {
  jobs: Job[];
  nextCursor: string | null;
}

const pageSize = 200;
/** While jobs run, a page of the sheet is read again so often; several pages take as many times longer. */
const pageMs = 3_000;
const keyOf = (id: string) => ["contact-sheet", id] as const;

/** The batch's jobs, newest first, page by page. */
export function useSheet(batch: BatchDetail, mark: SheetMark | undefined) {
  const sheet = useInfiniteQuery({
    queryKey: [...keyOf(batch.id), mark ?? "all"] as const,
    queryFn: async ({ pageParam, signal }): Promise<Page> => {
      const query = {
        ...{ batch: batch.id, limit: pageSize },
        ...(mark !== undefined && { mark }),
        ...(pageParam !== undefined && { cursor: pageParam }),
      };
      return dataOf(genga.http.GET("/api/anime/jobs", { params: { query }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    refetchInterval: ({ state }) => !batch.done && pageMs * Math.max(1, state.data?.pages.length ?? 1),
  });
  // The last answer may be from before the last job ended.
  const { refetch } = sheet;
  const wasDone = useRef(batch.done);
  useEffect(() => {
    if (batch.done && !wasDone.current) void refetch();
    wasDone.current = batch.done;
  }, [batch.done, refetch]);
  return sheet;
}

/** Shown at once, and taken back if the API refuses. What has another mark than is shown stays until the sheet is read again. */
export function useMarking(batchId: string) {
  const queries = useQueryClient();
  const patch = (ids: readonly string[], markOf: (job: Job) => Mark): void => {
    queries.setQueriesData<InfiniteData<Page>>({ queryKey: keyOf(batchId) }, (data) => {
      if (data === undefined) return data;
      const pages = data.pages.map((page) => ({
        ...page,
        jobs: page.jobs.map((job) => (ids.includes(job.id) ? { ...job, mark: markOf(job) } : job)),
      }));
      return { ...data, pages };
    });
  };
  return useMutation({
    mutationFn: ({ ids, mark }: { ids: string[]; mark: Mark }) =>
      dataOf(genga.http.PUT("/api/anime/job-marks", { body: { jobs: ids, mark } })),
    onMutate: async ({ ids, mark }) => {
      // An answer that is under way would show what was before.
      await queries.cancelQueries({ queryKey: keyOf(batchId) });
      patch(ids, () => mark);
    },
    onError: (error) => {
      const { title, detail } = messageOf(error);
      notifications.show({ color: "red", title, message: detail });
      void queries.invalidateQueries({ queryKey: keyOf(batchId) });
    },
    onSuccess: (_answer, { ids }) => {
      for (const id of ids) void queries.invalidateQueries({ queryKey: keys.job(id) });
      void queries.invalidateQueries({ queryKey: ["rejected", batchId] });
    },
  });
}

/** How many of the batch's jobs are rejected, and which, as far as one page tells. */
export const rejectedQuery = (batchId: string) => ({
  queryKey: ["rejected", batchId],
  queryFn: async ({ signal }: { signal: AbortSignal }) => {
    const query = { batch: batchId, mark: "reject", limit: pageSize } as const;
    const { jobs, nextCursor } = await dataOf(
      genga.http.GET("/api/anime/jobs", { params: { query }, signal }),
    );
    return { count: jobs.length, isMore: nextCursor !== null, ids: jobs.map(({ id }) => id).join() };
  },
});
