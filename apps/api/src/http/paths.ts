/** The prefix of all paths about jobs. */
export const prefix = "/api/anime";
/** The path of Bull Board. */
export const boardPath = "/admin/queues";

/** The methods of routes; GET includes HEAD. */
export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** @param path of a route: relative to the prefix, or to the root when it begins with a slash */
export function fullPath(path: string): string {
  return path.startsWith("/") ? path : `${prefix}/${path}`;
}

const submissionPaths = ["generate", "generate/image", "generate/video", "batches"].map(fullPath);

/** Whether a request submits jobs. All other POST requests change existing jobs or send an image. */
export function isSubmission({
  method,
  baseUrl,
  path,
}: {
  method: string;
  baseUrl: string;
  path: string;
}): boolean {
  return method === "POST" && submissionPaths.includes(`${baseUrl}${path}`.replace(/\/$/, "").toLowerCase());
}
