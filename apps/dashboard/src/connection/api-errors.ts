import { GengaError } from "@genga/client";

interface ProblemDocument {
  title?: string;
  detail?: string;
  code?: string;
}

/** The refusal that an answer of the API is. */
export async function errorOf(response: Response): Promise<GengaError> {
  const problem = problemOf(await response.text());
  return new GengaError({
    status: response.status,
    code: problem.code ?? "unexpected-answer",
    title: problem.title ?? `The answer is ${response.status}`,
    detail: problem.detail ?? "",
  });
}

function problemOf(text: string): ProblemDocument {
  try {
    return JSON.parse(text) as ProblemDocument;
  } catch {
    return { detail: text.slice(0, 300) };
  }
}

/** What a person is told of an error, and what they can do. */
export function messageOf(error: unknown): { title: string; detail: string } {
  if (error instanceof GengaError) {
    if (error.code === "connection-failed") {
      return {
        title: "The API cannot be reached",
        detail: "The page tries again by itself. If this lasts, look whether the API is running.",
      };
    }
    const fields = error.problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
    return { title: error.title, detail: [error.detail, ...fields].filter((line) => line !== "").join("\n") };
  }
  return {
    title: "This page made a mistake",
    detail: error instanceof Error ? error.message : String(error),
  };
}
