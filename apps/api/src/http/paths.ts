/** Where everything about jobs is. */
export const prefix = "/api/anime";
/** Where Bull Board is. */
export const boardPath = "/admin/queues";

/** What a route may be asked with; GET stands for HEAD as well. */
export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** @param path of a route: below the prefix, or from the root when it begins with a slash */
export function fullPath(path: string): string {
  return path.startsWith("/") ? path : `${prefix}/${path}`;
}

const submissionPaths = ["generate", "generate/image", "generate/video", "batches"].map(fullPath);

/** Whether a request submits jobs; everything else that is posted changes jobs that are there, or sends an image. */
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
