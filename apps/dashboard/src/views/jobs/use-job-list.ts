import { GengaError, type Job } from "@genga/client";
import { queryOptions, useQueries, useQuery } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { queryOf, type JobsSearch } from "./jobs-search.ts";
import { keepChain, keptChain } from "./kept-chains.ts";
import { newChain, newerThan, pageSize, pagesOf, rowsOf, withPage } from "./page-chain.ts";

interface JobPage {
  readonly jobs: readonly Job[];
  readonly nextCursor: string | null;
}

/** Pages out of sight are forgotten after this time. */
const keptMs = 20_000;

const pageQuery = (search: JobsSearch, cursor: string | null) =>
  queryOptions({
    queryKey: [...keys.jobs(search), cursor],
    queryFn: ({ signal }): Promise<JobPage> => {
      const query = { ...queryOf(search), limit: pageSize, ...(cursor !== null && { cursor }) };
      const answer = genga.http.GET("/api/anime/jobs", { params: { query: query as never }, signal });
      return dataOf(answer);
    },
    gcTime: keptMs,
  });

export interface JobList {
  /** undefined while nothing was read */
  readonly rows: number | undefined;
  readonly error: Error | null;
  /** undefined = it is being read */
  readonly jobAt: (row: number) => Job | undefined;
  /** Of the row's page only changes of its jobs are read, since its place in the list is not known. */
  readonly isHeld: (row: number) => boolean;
  /** The jobs of the pages in sight. */
  readonly loaded: readonly Job[];
  /** Jobs that came while the top was out of sight. They are not shown yet. */
  readonly newer: number;
  readonly retry: () => void;
}

interface Seen {
  readonly first: number;
  readonly last: number;
  readonly isAtTop: boolean;
}

/**
 * A list of jobs, the newest first, of which only the pages in sight are read. Rows stay where they are while jobs arrive:
 * once the top is out of sight, the first page is held as it is until one returns there.
 */
export function useJobList(search: JobsSearch, seen: Seen): JobList {
  const head = useQuery(pageQuery(search, null));
  const choice = JSON.stringify(search);
  const place = useLocation({ select: ({ state: { __TSR_key: key }, href }) => key ?? href });
  const [state, setState] = useState(() => {
    const chain = keptChain(place, choice);
    return { choice, chain, top: head.data, isKept: chain !== newChain };
  });
  let { chain, top, isKept } =
    state.choice === choice ? state : { chain: newChain, top: head.data, isKept: false };

  const newer = top === undefined ? 0 : newerThan(head.data?.jobs ?? [], top.jobs[0]?.id);
  if (seen.isAtTop || newer === 0) top = head.data;

  const wanted = pagesOf(chain, seen).filter((page) => page > 0);
  const queries = useQueries({
    queries: wanted.map((page) => pageQuery(search, chain.cursors[page] ?? null)),
  });
  const pages = new Map<number, JobPage | undefined>([[0, top]]);
  for (const [index, page] of wanted.entries()) pages.set(page, queries[index]?.data);
  if (isKept && queries.some(({ error }) => error instanceof GengaError && error.status === 422)) {
    // The API knows these cursors no more.
    [chain, isKept] = [newChain, false];
  }
  for (const [index, page] of pages) if (page !== undefined) chain = withPage(chain, index, page);

  if (choice !== state.choice || chain !== state.chain || top !== state.top)
    setState({ choice, chain, top, isKept });
  useEffect(() => {
    keepChain(place, choice, chain);
  }, [place, choice, chain]);

  const isHeld = top !== head.data;
  return {
    rows: top === undefined ? undefined : rowsOf(chain),
    error: top === undefined ? head.error : null,
    jobAt: (row) => pages.get(Math.floor(row / pageSize))?.jobs[row % pageSize],
    isHeld: (row) => isHeld && row < pageSize,
    loaded: [...pages.values()].flatMap((page) => page?.jobs ?? []),
    newer: isHeld ? newer : 0,
    retry: () => void head.refetch(),
  };
}
