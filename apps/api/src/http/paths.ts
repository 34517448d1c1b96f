/** The prefix of all paths about jobs. */
export const prefix = "/api/anime";
/** The prefix of the Comfy API v2, which has its own contract. */
export const comfyApiPrefix = "/api/v2";

/** Whether a path belongs to the Comfy API v2, as routing reads it: in any case of its letters. */
export function isOfComfyApi(path: string): boolean {
  const lower = path.toLowerCase();
  return lower === comfyApiPrefix || lower.startsWith(`${comfyApiPrefix}/`);
}

/** The path of Bull Board. */
export const boardPath = "/admin/queues";

/** Where a browser finds Bull Board and the pages of jobs: below the path of `PUBLIC_URL`, if it has one. */
export function boardPaths(publicUrl: string | undefined): {
  basePath: string;
  jobPageOf: (jobId: string) => string;
} {
  const below = publicUrl === undefined ? "" : new URL(publicUrl).pathname.replace(/\/+$/, "");
  return {
    basePath: `${below}${boardPath}`,
    jobPageOf: (jobId) => `${below}/jobs/${encodeURIComponent(jobId)}`,
  };
}

/** The methods of routes; GET includes HEAD. */
export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** @param path of a route: relative to the prefix, or to the root when it begins with a slash */
export function fullPath(path: string): string {
  return path.startsWith("/") ? path : `${prefix}/${path}`;
}
