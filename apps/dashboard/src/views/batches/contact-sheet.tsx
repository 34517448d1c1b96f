import { type BatchDetail, type Job } from "@genga/client";
import { Group, Kbd, SegmentedControl, Stack, Text } from "@mantine/core";
import { useElementSize, useHotkeys } from "@mantine/hooks";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { getRouteApi } from "@tanstack/react-router";
import {
  type CSSProperties,
  useEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
} from "react";
import { useMay } from "../../connection/session.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { AgainButton } from "./again-button.tsx";
import { type Mark, markAfter, movedBy } from "./sheet-keys.ts";
import { SheetLarge } from "./sheet-large.tsx";
import { SheetCell } from "./sheet-cell.tsx";
import { type SheetMark } from "./batch-search.ts";
import { useMarking, useSheet } from "./use-sheet.ts";

const route = getRouteApi("/frame/batches/$id");
const cellWidth = 170;
const cellHeight = 216;

/** Thumbnails of all jobs of the batch, on which people pick and reject. */
export function ContactSheet({ batch }: { batch: BatchDetail }): ReactNode {
  const { mark } = route.useSearch();
  const navigate = route.useNavigate();
  const may = useMay();
  const sheet = useSheet(batch, mark);
  const jobs = sheet.data?.pages.flatMap((page) => page.jobs);
  const choose = (chosen: string): void =>
    void navigate({
      search: { part: "sheet", ...(chosen !== "all" && { mark: chosen as SheetMark }) },
      ...{ replace: true, resetScroll: false },
    });
  return (
    <Stack>
      <Group justify="space-between" gap="sm">
        <SegmentedControl
          aria-label="Which jobs are shown"
          value={mark ?? "all"}
          onChange={choose}
          data={[
            { value: "all", label: "All" },
            { value: "pick", label: "Picked" },
            { value: "reject", label: "Rejected" },
            { value: "none", label: "Unmarked" },
          ]}
        />
        {may("submit") && <AgainButton batch={batch} />}
      </Group>
      {may("submit") && <KeysHint />}
      {jobs === undefined ? (
        sheet.isError ? (
          <ErrorState error={sheet.error} onRetry={() => void sheet.refetch()} />
        ) : (
          <LoadingState rows={2} height={cellHeight} />
        )
      ) : jobs.length === 0 ? (
        <EmptyState
          title={mark === undefined ? "This batch has no jobs any more" : "No job has this mark"}
          text="Marks are shared by everybody of the tenant."
        />
      ) : (
        <Grid
          batch={batch}
          jobs={jobs}
          // After a refusal the reader asks again, not the page.
          hasMore={sheet.hasNextPage && !sheet.isFetching && !sheet.isError}
          onMore={() => void sheet.fetchNextPage()}
        />
      )}
      {jobs !== undefined && sheet.isError && (
        <ErrorState
          error={sheet.error}
          onRetry={() => void (sheet.isFetchNextPageError ? sheet.fetchNextPage() : sheet.refetch())}
        />
      )}
    </Stack>
  );
}

function KeysHint(): ReactNode {
  return (
    <Text size="sm" c="dimmed" visibleFrom="sm">
      <Kbd>P</Kbd> picks, <Kbd>X</Kbd> rejects, again takes the mark away; arrow keys move, <Kbd>Space</Kbd>{" "}
      shows large, <Kbd>Enter</Kbd> opens the job.
    </Text>
  );
}

function Grid({
  batch,
  jobs,
  hasMore,
  onMore,
}: {
  batch: BatchDetail;
  jobs: readonly Job[];
  hasMore: boolean;
  onMore: () => void;
}): ReactNode {
  const may = useMay();
  const marking = useMarking(batch.id);
  const [place, setPlace] = useState(0);
  const [large, setLarge] = useState<string>();
  const { ref, width } = useElementSize();
  const columns = Math.max(2, Math.floor(width / cellWidth));
  const grid = useRef<HTMLDivElement>(null);
  const rows = useRows(grid, Math.ceil(jobs.length / columns));
  const focusPlace = usePlaceFocus(grid, rows.scrollToIndex, columns);
  const lastRow = rows.getVirtualItems().at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && (lastRow + 3) * columns >= jobs.length) onMore();
  });
  const at = Math.min(place, jobs.length - 1);
  const go = (next: number): void => {
    setPlace(next);
    focusPlace(next);
  };
  const mark = (job: Job | undefined, pressed: Exclude<Mark, null>): void => {
    if (job !== undefined && may("submit"))
      marking.mutate({ ids: [job.id], mark: markAfter(job.mark, pressed) });
  };
  const current = (): Job | undefined =>
    jobs[large === undefined ? at : jobs.findIndex(({ id }) => id === large)];
  useHotkeys([
    ["P", () => mark(current(), "pick")],
    ["X", () => mark(current(), "reject")],
  ]);
  const onKey = (event: KeyboardEvent): void => {
    // Not the keys of the buttons.
    if (!(event.target instanceof HTMLElement) || event.target.dataset["place"] === undefined) return;
    const next = movedBy(event.key, { place: at, columns, count: jobs.length });
    if (event.key !== " " && next === undefined) return;
    event.preventDefault();
    if (next !== undefined) go(next);
    else if (jobs[at]?.links["thumbnail"] !== undefined) setLarge(jobs[at].id);
  };
  return (
    <div ref={ref}>
      <div
        ref={grid}
        role="grid"
        aria-label="Contact sheet"
        aria-rowcount={rows.options.count}
        style={{ height: rows.getTotalSize(), position: "relative" }}
        onKeyDown={onKey}
      >
        {rows.getVirtualItems().map((row) => (
          <div
            key={row.key}
            role="row"
            aria-rowindex={row.index + 1}
            style={{
              ...rowStyle,
              gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
              transform: `translateY(${row.start - rows.options.scrollMargin}px)`,
            }}
          >
            {jobs.slice(row.index * columns, (row.index + 1) * columns).map((job, column) => (
              <SheetCell
                key={job.id}
                job={job}
                place={row.index * columns + column}
                isCurrent={row.index * columns + column === at}
                mayMark={may("submit")}
                onFocus={setPlace}
                onMark={(pressed) => mark(job, pressed)}
              />
            ))}
          </div>
        ))}
      </div>
      <SheetLarge
        jobs={jobs}
        shownId={large}
        onShow={setLarge}
        onMark={may("submit") ? (pressed) => mark(current(), pressed) : undefined}
      />
    </div>
  );
}

const rowStyle: CSSProperties = {
  position: "absolute",
  ...{ top: 0, left: 0, right: 0, height: cellHeight, display: "grid", gap: 10 },
};

/** Only the rows in sight are there, however many the batch has. */
function useRows(grid: RefObject<HTMLDivElement | null>, count: number) {
  const [scrollMargin, setScrollMargin] = useState(0);
  useEffect(() => {
    // What stands above the grid may grow and shrink.
    const observer = new ResizeObserver(() => {
      setScrollMargin((grid.current?.getBoundingClientRect().top ?? 0) + window.scrollY);
    });
    observer.observe(document.body);
    return () => {
      observer.disconnect();
    };
  }, [grid]);
  return useWindowVirtualizer({ count, estimateSize: () => cellHeight + 10, overscan: 2, scrollMargin });
}

/** Focuses a cell, which may have to be drawn first. */
function usePlaceFocus(
  grid: RefObject<HTMLDivElement | null>,
  scrollToIndex: (row: number) => void,
  columns: number,
): (place: number) => void {
  const wanted = useRef<number>(undefined);
  useEffect(() => {
    if (wanted.current === undefined) return;
    const cell = grid.current?.querySelector<HTMLElement>(`[data-place="${wanted.current}"]`);
    if (cell === null || cell === undefined) return;
    wanted.current = undefined;
    cell.focus({ preventScroll: false });
  });
  return (place) => {
    wanted.current = place;
    if (!grid.current?.querySelector(`[data-place="${place}"]`)) scrollToIndex(Math.floor(place / columns));
  };
}
