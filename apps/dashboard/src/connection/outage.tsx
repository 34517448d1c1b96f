import { GengaError } from "@genga/client";
import { notifyManager, useQuery, useQueryClient, type Query, type QueryClient } from "@tanstack/react-query";
import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
  type ReactNode,
} from "react";
import { readAllAgain } from "./live-feed.tsx";
import { healthQuery } from "./queries.ts";

/** Why what the page shows may be old. */
export interface Outage {
  /** `some` = the API and its database answer, but not every request of this view. */
  readonly missing: "api" | "database" | "some";
  /** When all was read for the last time, in milliseconds; undefined = not since the page was opened. */
  readonly readAt: number | undefined;
}

const Current = createContext<Outage | undefined>(undefined);

/** undefined = what is shown is current */
export function useOutage(): Outage | undefined {
  return useContext(Current);
}

/**
 * Asks for the health of the API on every view. Streams stay open while the database is away, and answers that were read are
 * kept when the next request fails, so neither says that what is shown has become old. After an outage everything is read again.
 */
export function OutageWatch({ children }: { children: ReactNode }): ReactNode {
  const queries = useQueryClient();
  const { data, dataUpdatedAt, errorUpdatedAt } = useQuery(healthQuery);
  const oldestAt = useOldestFailedRead(queries);
  const wasAway = useRef(false);
  const [wellAt, setWellAt] = useState<number>();
  const missing =
    errorUpdatedAt > dataUpdatedAt
      ? "api"
      : data?.parts.database.status === "unavailable"
        ? "database"
        : null;
  if (missing === null && dataUpdatedAt > 0 && wellAt !== dataUpdatedAt) setWellAt(dataUpdatedAt);
  useEffect(() => {
    if (missing !== null) {
      wasAway.current = true;
    } else if (dataUpdatedAt > 0) {
      if (wasAway.current) readAllAgain(queries);
      else void queries.invalidateQueries({ predicate: hasFailed });
      wasAway.current = false;
    }
  }, [queries, missing, dataUpdatedAt]);
  const outage: Outage | undefined =
    missing !== null
      ? { missing, readAt: wellAt }
      : oldestAt === null
        ? undefined
        : { missing: "some", readAt: oldestAt };
  return <Current value={outage}>{children}</Current>;
}

/** The time of the oldest answer that a view shows although reading it again has failed; null = there is none. */
function useOldestFailedRead(queries: QueryClient): number | null {
  const cache = queries.getQueryCache();
  return useSyncExternalStore(
    useCallback((changed) => cache.subscribe(notifyManager.batchCalls(changed)), [cache]),
    () => {
      const times = cache
        .findAll({ type: "active", predicate: hasFailed })
        .flatMap(({ state }) => (state.dataUpdatedAt > 0 ? [state.dataUpdatedAt] : []));
      return times.length === 0 ? null : Math.min(...times);
    },
  );
}

/** Whether there was no answer, or none that says anything of what was asked for. A refusal is an answer. */
function hasFailed({ queryKey, state: { error } }: Query): boolean {
  if (queryKey[0] === "session" || !(error instanceof GengaError)) return false;
  return error.status === 0 || error.status >= 500 || error.code === "connection-failed";
}
