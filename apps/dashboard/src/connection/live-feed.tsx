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
/** A clock that stood still for so long was asleep. */
const tickMs = 5_000;
const sleptMs = 20_000;

/**
 * One stream with everything that happens to the tenant's jobs feeds all views: progress goes to the rows that show it,
 * other events make what was read of their job old. After a break everything that is shown is read again.
 */
export function LiveFeed({ children }: { children: ReactNode }): ReactNode {
  const queries = useQueryClient();
  const [state, setState] = useState<FeedState>("connecting");
  useEffect(() => {
    const ending = new AbortController();
    let wasOpen = false;
    const release = onStream((isOpen) => {
      setState(isOpen ? "live" : "away");
      // The missed events follow, but what was asked for meanwhile has failed.
      if (isOpen && wasOpen) readAllAgain(queries);
      wasOpen ||= isOpen;
    });
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
    const leaving = whenHiddenOrAwoken(signal);
    try {
      // That it is live was said when the stream was opened. React would keep every change of state to what is the state already.
      for await (const event of genga.events({ signal: leaving.signal })) {
        switch (event.kind) {
          case "snapshot":
            // Events may have been missed.
            readAllAgain(queries);
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
      leaving.release();
    }
    if (leaving.signal.aborted) {
      setState("connecting");
    } else {
      setState("away");
      await pause(retryMs, signal);
    }
  }
}

/** For when events, or answers, may have been missed. */
export function readAllAgain(queries: QueryClient): void {
  liveJobs.clear();
  void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
}

/**
 * Lists, batches and counts change with most events; they are read again together, and not for each event. The next time
 * begins when this one has ended: reading again would stop what is being read, and a slow list would never arrive.
 */
class ListRefresh {
  readonly #queries: QueryClient;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #changed = new Set<string>();

  constructor(queries: QueryClient) {
    this.#queries = queries;
  }

  plan(jobId: string): void {
    this.#changed.add(jobId);
    this.#timer ??= setTimeout(() => void this.#read(), listsMs);
  }

  async #read(): Promise<void> {
    const changed = this.#changed;
    this.#changed = new Set();
    const predicate = ({ queryKey, state }: Query): boolean => mayShow(queryKey, state.data, changed);
    await Promise.all([
      this.#queries.invalidateQueries({ queryKey: keys.jobs(), predicate }),
      this.#queries.invalidateQueries({ queryKey: keys.batches() }),
      this.#queries.invalidateQueries({
        queryKey: keys.chains(),
        predicate: ({ state }) => showsOneOf(state.data, changed),
      }),
      this.#queries.invalidateQueries({ queryKey: keys.queue() }),
    ]);
    this.#timer = this.#changed.size > 0 ? setTimeout(() => void this.#read(), listsMs) : undefined;
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
  return showsOneOf(page, changed);
}

/** What was not read yet may show any. */
function showsOneOf(answer: unknown, changed: ReadonlySet<string>): boolean {
  const { jobs } = (answer ?? {}) as { jobs?: readonly { id: string }[] };
  return jobs?.some(({ id }) => changed.has(id)) ?? true;
}

async function untilSeen(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return;
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}

/**
 * Aborts once the page has been hidden for a while, when the machine has slept or its network has come back (the old
 * connection may be dead without anybody noticing), or when the outer signal does.
 */
function whenHiddenOrAwoken(outer: AbortSignal): { signal: AbortSignal; release: () => void } {
  const leaving = new AbortController();
  const released = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ticked = Date.now();
  const leave = (): void => {
    leaving.abort();
  };
  const look = (): void => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(leave, hiddenMs);
  };
  const clock = setInterval(() => {
    // In a hidden page clocks go slower, too.
    if (!document.hidden && Date.now() - ticked > sleptMs) leave();
    ticked = Date.now();
  }, tickMs);
  document.addEventListener("visibilitychange", look, { signal: released.signal });
  window.addEventListener("online", leave, { signal: released.signal });
  outer.addEventListener("abort", leave, { signal: released.signal });
  look();
  return {
    signal: leaving.signal,
    release: () => {
      clearTimeout(timer);
      clearInterval(clock);
      released.abort();
    },
  };
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
