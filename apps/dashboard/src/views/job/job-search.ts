/** What is chosen on the page of a job. */
export interface JobSearch {
  /** The nodes as a list, in place of the drawn graph. */
  readonly nodes?: "list";
  /** The id of the output that is shown large. */
  readonly output?: string;
  /** The form for a rerun with changes is open. */
  readonly rerun?: true;
}

/** Addresses may be old or written by hand: what is not known is left out. */
export function readJobSearch(search: Record<string, unknown>): JobSearch {
  const { nodes, output, rerun } = search;
  return {
    ...(nodes === "list" && { nodes }),
    ...(typeof output === "string" && /^[0-9a-f-]{36}$/.test(output) && { output }),
    ...(rerun === true && { rerun }),
  };
}

/** undefined takes a choice away. */
export function changedSearch(
  old: JobSearch,
  change: { readonly [Name in keyof JobSearch]?: JobSearch[Name] | undefined },
): JobSearch {
  return readJobSearch({ ...old, ...change });
}
