/** The prefix of all paths about jobs. */
export const prefix = "/api/anime";
/** The path of Bull Board. */
export const boardPath = "/admin/queues";

/** The methods of routes; GET includes HEAD. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** @param path of a route: relative to the prefix, or to the root when it begins with a slash */
export function fullPath(path: string): string {
  return path.startsWith("/") ? path : `${prefix}/${path}`;
}
