/** Where everything about jobs is. */
export const prefix = "/api/anime";
/** Where Bull Board is. */
export const boardPath = "/admin/queues";

const submissionPaths = ["generate", "generate/image", "generate/video", "batches"].map(
  (path) => `${prefix}/${path}`,
);

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
