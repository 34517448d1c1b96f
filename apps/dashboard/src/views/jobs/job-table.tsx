import { type Job } from "@genga/client";
import { Button, Checkbox } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconArrowUp } from "@tabler/icons-react";
import { useElementScrollRestoration } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useCallback, useLayoutEffect, useRef, useState } from "react";
import { useMay } from "../../connection/session.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { ChosenJobs } from "./chosen-jobs.tsx";
import { EmptyRow, HeldJobRow, JobRow } from "./job-row.tsx";
import { type JobsSearch } from "./jobs-search.ts";
import { type JobList, useJobList } from "./use-job-list.ts";
import "./jobs.css";

/** Of a row of the table and of a card, in pixels: all are as high, so that nothing moves while they change. */
const rowHeight = { table: 60, card: 124 };
/** The height of the page's header. */
const headerHeight = 52;

interface Choice {
  readonly chosen: ReadonlyMap<string, Job>;
  readonly choose: (job: Job, isChosen: boolean) => void;
  readonly chooseAll: (jobs: readonly Job[], isChosen: boolean) => void;
  readonly clear: () => void;
}

/** A live list of jobs of any length; on a narrow screen a list of cards. */
export function JobTable({ search }: { search: JobsSearch }): ReactNode {
  const isCard = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false });
  const [seen, setSeen] = useState({ first: 0, last: 20, isAtTop: true });
  const list = useJobList(search, seen);
  const choice = useChoice();
  const mayChange = useMay()("submit");
  if (list.rows === undefined) {
    return list.error === null ? (
      <LoadingState rows={8} height={rowHeight.table - 12} />
    ) : (
      <ErrorState error={list.error} onRetry={list.retry} />
    );
  }
  if (list.rows === 0) return <NoJobs search={search} />;
  return (
    <>
      {list.newer > 0 && <NewJobs count={list.newer} />}
      <Rows
        list={list}
        rows={list.rows}
        isCard={isCard}
        choice={mayChange ? choice : undefined}
        onSeen={setSeen}
      />
      {mayChange && <ChosenJobs jobs={asTheyAre(choice.chosen, list.loaded)} onDone={choice.clear} />}
    </>
  );
}

/** The chosen jobs, those in sight as they are now. */
function asTheyAre(chosen: ReadonlyMap<string, Job>, loaded: readonly Job[]): Job[] {
  const now = new Map(chosen);
  for (const job of loaded) if (now.has(job.id)) now.set(job.id, job);
  return [...now.values()];
}

interface RowsProps {
  readonly list: JobList;
  readonly rows: number;
  readonly isCard: boolean;
  readonly choice: Choice | undefined;
  readonly onSeen: (seen: { first: number; last: number; isAtTop: boolean }) => void;
}

function Rows({ list, rows, isCard, choice, onSeen }: RowsProps): ReactNode {
  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    setTop(body.current?.offsetTop ?? 0);
  }, [isCard]);
  const height = isCard ? rowHeight.card : rowHeight.table;
  const virtualizer = useWindowVirtualizer({
    ...{ count: rows, overscan: 8, scrollMargin: top, useFlushSync: false },
    estimateSize: () => height,
    getItemKey: (row) => list.jobAt(row)?.id ?? row,
  });
  useLayoutEffect(() => {
    virtualizer.measure();
  }, [virtualizer, height]);
  useKeptPlace();
  const items = virtualizer.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  const isAtTop = (virtualizer.scrollOffset ?? 0) <= Math.max(top - headerHeight, 0);
  useLayoutEffect(() => {
    onSeen({ first, last, isAtTop });
  }, [onSeen, first, last, isAtTop]);

  const roles = isCard
    ? { table: "list", group: "presentation", row: "listitem" }
    : { table: "table", group: "rowgroup", row: "row" };
  return (
    <div role={roles.table} aria-label="Jobs" {...(!isCard && { "aria-rowcount": -1 })}>
      {!isCard && <Head list={list} choice={choice} />}
      <div role={roles.group} ref={body} className="job-rows" style={{ height: virtualizer.getTotalSize() }}>
        {items.map(({ key, index, start }) => (
          <div
            key={key}
            role={roles.row}
            {...(!isCard && { "aria-rowindex": index + 2 })}
            className={isCard ? "job-row" : `job-row job-columns${choice === undefined ? "" : " has-choice"}`}
            style={{ height, transform: `translateY(${start - top}px)` }}
          >
            <Row list={list} row={index} isCard={isCard} choice={choice} />
          </div>
        ))}
      </div>
    </div>
  );
}

/** After a reload, and on the way back, the rows come later than the router looks for its place. */
function useKeptPlace(): void {
  const kept = useElementScrollRestoration({ getElement: () => window });
  const [scrollY] = useState(kept?.scrollY);
  useLayoutEffect(() => {
    if (scrollY !== undefined) window.scrollTo({ top: scrollY, behavior: "instant" });
  }, [scrollY]);
}

function Row({
  list,
  row,
  isCard,
  choice,
}: Pick<RowsProps, "list" | "isCard" | "choice"> & { row: number }): ReactNode {
  const job = list.jobAt(row);
  if (job === undefined) return <EmptyRow isCard={isCard} />;
  const Shown = list.isHeld(row) ? HeldJobRow : JobRow;
  return (
    <Shown job={job} isCard={isCard} isChosen={choice?.chosen.has(job.id) ?? false} choose={choice?.choose} />
  );
}

const columns = [
  { name: "Job" },
  { name: "Status" },
  { name: "Progress" },
  { name: "Time" },
  { name: "Model", className: "job-cell-wide" },
  { name: "Server", className: "job-cell-wide" },
  { name: "Submitted" },
];

function Head({ list, choice }: Pick<RowsProps, "list" | "choice">): ReactNode {
  const count = list.loaded.filter(({ id }) => choice?.chosen.has(id)).length;
  return (
    <div role="rowgroup" className="job-head-group">
      <div
        role="row"
        aria-rowindex={1}
        className={`job-head job-columns${choice === undefined ? "" : " has-choice"}`}
      >
        {choice !== undefined && (
          <div role="columnheader" aria-label="Choice">
            <Checkbox
              checked={count > 0 && count === list.loaded.length}
              indeterminate={count > 0 && count < list.loaded.length}
              onChange={(event) => {
                choice.chooseAll(list.loaded, event.currentTarget.checked);
              }}
              aria-label={`Choose the ${list.loaded.length} jobs around here`}
            />
          </div>
        )}
        {columns.map(({ name, className }) => (
          <div key={name} role="columnheader" className={className}>
            {name}
          </div>
        ))}
      </div>
    </div>
  );
}

/** Says that jobs came, without moving what one looks at. */
function NewJobs({ count }: { count: number }): ReactNode {
  return (
    <div className="new-jobs" role="status">
      <Button
        size="compact-md"
        radius="xl"
        leftSection={<IconArrowUp size={16} aria-hidden />}
        onClick={() => {
          window.scrollTo({ top: 0 });
        }}
      >
        {count >= 50 ? "50 or more new jobs" : count === 1 ? "1 new job" : `${count} new jobs`}
      </Button>
    </div>
  );
}

function NoJobs({ search }: { search: JobsSearch }): ReactNode {
  return Object.keys(search).length === 0 ? (
    <EmptyState title="No jobs yet" text="Jobs that are submitted, here or by a program, appear at once." />
  ) : (
    <EmptyState title="No such jobs" text="No job has all that is chosen above." />
  );
}

function useChoice(): Choice {
  const [chosen, setChosen] = useState<ReadonlyMap<string, Job>>(new Map());
  const chooseAll = useCallback((jobs: readonly Job[], isChosen: boolean): void => {
    setChosen((before) => {
      const after = new Map(before);
      for (const job of jobs) {
        if (isChosen) after.set(job.id, job);
        else after.delete(job.id);
      }
      return after;
    });
  }, []);
  const choose = useCallback(
    (job: Job, isChosen: boolean) => {
      chooseAll([job], isChosen);
    },
    [chooseAll],
  );
  const clear = useCallback(() => {
    setChosen(new Map());
  }, []);
  return { chosen, choose, chooseAll, clear };
}
