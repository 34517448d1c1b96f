/**
 * The pages of a long list, as the cursors at which they begin. They become known one by one as one scrolls; of their rows
 * only those of pages in sight are kept. The first is `null`: the beginning of the list, wherever that is.
 */
export interface PageChain {
  readonly cursors: readonly (string | null)[];
  /** The rows of the last page, once it was read and nothing follows it. */
  readonly lastRows: number | null;
}

export const pageSize = 50;
/** Rows that stand for a page which is not read yet. */
const guessedRows = 8;

export const newChain: PageChain = { cursors: [null], lastRows: null };

/** The chain after a page was read: the next one begins where this one ended, or there is none. */
export function withPage(
  chain: PageChain,
  index: number,
  { jobs, nextCursor }: { jobs: readonly unknown[]; nextCursor: string | null },
): PageChain {
  const { cursors, lastRows } = chain;
  if (nextCursor === null) {
    const isKnown = index === cursors.length - 1 && lastRows === jobs.length;
    return isKnown ? chain : { cursors: cursors.slice(0, index + 1), lastRows: jobs.length };
  }
  if (cursors[index + 1] === nextCursor) return chain;
  const after = cursors.slice(index + 2);
  return {
    cursors: [...cursors.slice(0, index + 1), nextCursor, ...after],
    lastRows: after.length === 0 ? null : lastRows,
  };
}

/** How many rows the list has, as far as that is known. Every page but the last is full. */
export function rowsOf({ cursors, lastRows }: PageChain): number {
  return (cursors.length - 1) * pageSize + (lastRows ?? guessedRows);
}

/** The places in the chain of the pages that these rows are on. */
export function pagesOf({ cursors }: PageChain, rows: { first: number; last: number }): number[] {
  const first = Math.max(Math.floor(rows.first / pageSize), 0);
  const last = Math.min(Math.floor(rows.last / pageSize), cursors.length - 1);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => first + index);
}

/** How many of these jobs came after the one at the top. Ids grow with time. */
export function newerThan(jobs: readonly { readonly id: string }[], topId: string | undefined): number {
  return jobs.filter(({ id }) => topId === undefined || id > topId).length;
}
