import type { Workflow } from "./workflow.ts";

/** Characters that stay in a file name everywhere; the rest become `_`. */
const UNSAFE_IN_NAME = /[^\p{L}\p{N} ._%()+=@-]/gu;
const NAME_LENGTH_MAX = 80;

/**
 * A copy of the graph whose every `filename_prefix` is unique to one attempt: `<filenamePrefix>/<original name>`.
 * Without it an identical graph would run nothing and report the files of an earlier job (PROTOCOL 0.8), and two
 * attempts would share a counter. The prefix becomes a subfolder of the server's output folder; of the original only
 * the last part is kept (its `%date%` and `%width%` marks go on working), so that no graph can leave that folder.
 * Prefixes that come over a link are left alone: their value is only known at run time.
 */
export function prepareForSubmission(workflow: Workflow, options: { filenamePrefix: string }): Workflow {
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) => {
      const original = unwrapped(node.inputs["filename_prefix"]);
      if (typeof original !== "string") return [id, node];
      const inputs = {
        ...node.inputs,
        filename_prefix: `${options.filenamePrefix}/${safeName(original)}`,
      };
      return [id, { ...node, inputs }];
    }),
  );
}

/** Servers take `{"__value__": x}` for x. */
function unwrapped(value: unknown): unknown {
  return typeof value === "object" && value !== null && "__value__" in value ? value.__value__ : value;
}

function safeName(prefix: string): string {
  const last = prefix.split(/[/\\]/).findLast((part) => part.trim() !== "") ?? "";
  const name = last
    .replace(UNSAFE_IN_NAME, "_")
    .replace(/\.{2,}/g, "_")
    .replace(/^[. ]+/, "")
    .trim()
    .slice(0, NAME_LENGTH_MAX);
  return name === "" ? "output" : name;
}
