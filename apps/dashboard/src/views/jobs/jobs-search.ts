import { type JobStatus } from "@genga/client";

export const jobStatuses = ["queued", "processing", "completed", "failed", "timeout", "cancelled"] as const;
export const jobTypes = ["image", "video", "workflow"] as const;
/** Filters that take any text. */
const textFilters = ["text", "project", "scene", "shot", "tag", "batch"] as const;

/** What is chosen in the list of jobs; it stands in the address, so that it survives a reload and can be sent to others. */
export interface JobsSearch {
  readonly status?: readonly JobStatus[];
  readonly type?: readonly (typeof jobTypes)[number][];
  readonly text?: string;
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: string;
  readonly batch?: string;
}

/** Addresses may be old or written by hand: what is not known is left out. */
export function readJobsSearch(search: Record<string, unknown>): JobsSearch {
  const status = chosen(search["status"], jobStatuses);
  const type = chosen(search["type"], jobTypes);
  const texts = Object.fromEntries(
    textFilters.flatMap((name) => {
      const value = search[name];
      return (typeof value === "string" && value !== "") || typeof value === "number"
        ? [[name, String(value)]]
        : [];
    }),
  );
  return { ...(status.length > 0 && { status }), ...(type.length > 0 && { type }), ...texts };
}

/** The API searches for three characters or more, or for any that are not ASCII. */
export function isSearchable(text: string): boolean {
  return text.length >= 3 || /[^ -~]/.test(text);
}

/** How many filters are set besides those that are always in sight. */
export function furtherFilters({ project, scene, shot, tag, batch }: JobsSearch): number {
  return [project, scene, shot, tag, batch].filter((value) => value !== undefined).length;
}

/** The query of the API: a text that is too short to be searched for is left out. */
export function queryOf({ text, ...others }: JobsSearch): JobsSearch {
  return text !== undefined && isSearchable(text) ? { ...others, text } : others;
}

function chosen<Known extends string>(value: unknown, known: readonly Known[]): Known[] {
  const given = Array.isArray(value) ? value : [value];
  return known.filter((name) => given.includes(name));
}
