import { useQueryClient, type Query, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";
import { genga, isSignedOut, onStream } from "./genga.ts";
import { liveJobs } from "./live-jobs.ts";
import { keys } from "./queries.ts";

export type FeedState = "connecting" | "live" | "away";

const State = createContext<FeedState>("connecting");

/** Whether what the page shows is live at the moment. */
export function useFeedState(): FeedState {
  return useContext(State);
}

/** How soon after a change lists are read again, at most that often. */
const listsMs = 1_000;
const retryMs = 2_000;
/** A page that nobody sees gives its connection back: a browser has only six for all tabs of an installation. */
const hiddenMs = 15_000;

/**
 * One stream with everything that happens to the tenant's jobs feeds all views: progress goes to the rows that show it,
 * other events make what was read of their job old. After a break everything that is shown is read again.
 */
export function LiveFeed({ children }: { children: ReactNode }): ReactNode {
  const queries = useQueryClient();
  const [state, setState] = useState<FeedState>("connecting");
  useEffect(() => {
    const ending = new AbortController();
    const release = onStream((isOpen) => setState(isOpen ? "live" : "away"));
    void followWhileSeen(queries, setState, ending.signal);
    return () => {
      release();
      ending.abort();
    };
  }, [queries]);
  return <State value={state}>{children}</State>;
}

async function followWhileSeen(
  queries: QueryClient,
  setState: (state: FeedState) => void,
  signal: AbortSignal,
): Promise<void> {
  const lists = new ListRefresh(queries);
  while (!signal.aborted) {
    await untilSeen(signal);
    const hidden = whenHidden(signal);
    try {
      for await (const event of genga.events({ signal: hidden.signal })) {
        setState("live");
        switch (event.kind) {
          case "snapshot":
            // Events may have been missed.
            liveJobs.clear();
            void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
            break;
          case "progress":
            liveJobs.set(event.progress.jobId, event.progress);
            break;
          case "event":
            if (event.event.type !== "executing") liveJobs.forget(event.event.jobId);
            void queries.invalidateQueries({ queryKey: keys.job(event.event.jobId) });
            lists.plan(event.event.jobId);
            break;
          case "removed":
          case "other":
            break;
        }
      }
    } catch (error) {
      if (isSignedOut(error)) await queries.invalidateQueries({ queryKey: ["session"] });
    } finally {
      hidden.release();
    }
    setState(document.hidden ? "connecting" : "away");
    await pause(retryMs, signal);
  }
}

/** Lists, batches and counts change with most events; they are read again together, and not for each event. */
class ListRefresh {
  readonly #queries: QueryClient;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #changed = new Set<string>();

  constructor(queries: QueryClient) {
    this.#queries = queries;
  }

  plan(jobId: string): void {
    this.#changed.add(jobId);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const changed = this.#changed;
      this.#changed = new Set();
      const predicate = ({ queryKey, state }: Query): boolean => mayShow(queryKey, state.data, changed);
      void this.#queries.invalidateQueries({ queryKey: keys.jobs(), predicate });
      for (const queryKey of [keys.batches(), keys.queue()]) {
        void this.#queries.invalidateQueries({ queryKey });
      }
    }, listsMs);
  }
}

/**
 * Whether a page of jobs may be another one since these jobs changed. The first page may show new jobs, and what is chosen
 * by its status may come and go; other pages change only with the jobs that are on them.
 */
function mayShow(
  [, choice, cursor]: readonly unknown[],
  page: unknown,
  changed: ReadonlySet<string>,
): boolean {
  if (typeof cursor !== "string") return true;
  if (typeof choice === "object" && choice !== null && "status" in choice) return true;
  const { jobs } = (page ?? {}) as { jobs?: readonly { id: string }[] };
  return jobs?.some(({ id }) => changed.has(id)) ?? true;
}

async function untilSeen(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return;
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
  });
}

/** Aborts once the page has been hidden for a while, or when the outer signal does. */
function whenHidden(outer: AbortSignal): { signal: AbortSignal; release: () => void } {
  const leaving = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => {
    leaving.abort();
  };
  const look = (): void => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(leave, hiddenMs);
  };
  document.addEventListener("visibilitychange", look);
  outer.addEventListener("abort", leave);
  look();
  return {
    signal: leaving.signal,
    release: () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
      outer.removeEventListener("abort", leave);
    },
  };
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
