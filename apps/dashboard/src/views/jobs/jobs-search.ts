import { type JobStatus } from "@genga/client";

/** What is chosen in the list of jobs; it stands in the address, so that it survives a reload and can be sent to others. */
export interface JobsSearch {
  readonly status?: readonly JobStatus[];
  readonly type?: readonly ("image" | "video" | "workflow")[];
  readonly text?: string;
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: string;
  readonly batch?: string;
}

const statuses = ["queued", "processing", "completed", "failed", "timeout", "cancelled"] as const;
const types = ["image", "video", "workflow"] as const;

/** Addresses may be old or written by hand: what is not known is left out. */
export function readJobsSearch(search: Record<string, unknown>): JobsSearch {
  const status = chosen(search["status"], statuses);
  const type = chosen(search["type"], types);
  const texts = Object.fromEntries(
    (["text", "project", "scene", "shot", "tag", "batch"] as const).flatMap((name) => {
      const value = search[name];
      return (typeof value === "string" && value !== "") || typeof value === "number"
        ? [[name, String(value)]]
        : [];
    }),
  );
  return { ...(status.length > 0 && { status }), ...(type.length > 0 && { type }), ...texts };
}

function chosen<Known extends string>(value: unknown, known: readonly Known[]): Known[] {
  const given = Array.isArray(value) ? value : [value];
  return known.filter((name) => given.includes(name));
}
