import { numberOrText } from "./job-body.ts";
import { type JobKind } from "./create-search.ts";
import { type FieldKind } from "./job-fields.ts";

export interface SweepRow {
  /** What is varied: a field, a parameter of the template, or an input of a node, `3.cfg`. */
  readonly name: string;
  /** One value a line. */
  readonly values: string;
}

/** What was typed of a sweep. */
export interface SweepDraft {
  readonly rows: readonly SweepRow[];
  readonly combine: "product" | "zip";
  readonly seedsCount: string;
  readonly seedsFrom: string;
  /** Of the batch. */
  readonly batchName: string;
}

export const emptySweep: SweepDraft = {
  ...{ rows: [], combine: "product", seedsCount: "", seedsFrom: "", batchName: "" },
};

/** How the API calls the lists of each kind. */
export const sweepPlaces = {
  image: "vary",
  video: "vary",
  template: "values",
  workflow: "nodeInputs",
} as const;

/** The sweep without its base. */
export function sweepOf(
  kind: JobKind,
  draft: SweepDraft,
  kinds: ReadonlyMap<string, FieldKind>,
): Record<string, unknown> {
  const rows = usedRows(draft);
  const lists = Object.fromEntries(
    rows.map(({ name, values }) => [name, linesOf(values).map((line) => valueOf(line, kinds.get(name)))]),
  );
  return {
    ...(rows.length > 0 && { [sweepPlaces[kind]]: lists }),
    ...(draft.combine === "zip" && { combine: "zip" }),
    ...(draft.seedsCount.trim() !== "" && {
      seeds: {
        count: numberOrText(draft.seedsCount),
        ...(draft.seedsFrom.trim() !== "" && { from: numberOrText(draft.seedsFrom) }),
      },
    }),
  };
}

/** How many jobs the lists make; the API counts again. */
export function countOf(draft: SweepDraft): number {
  const lengths = usedRows(draft).map(({ values }) => linesOf(values).length);
  const seeds = Number(draft.seedsCount.trim() || "1");
  const combined =
    draft.combine === "zip"
      ? lengths.length === 0
        ? 1
        : Math.min(...lengths)
      : lengths.reduce((product, length) => product * length, 1);
  return combined * (Number.isFinite(seeds) ? seeds : 1);
}

function usedRows({ rows }: SweepDraft): SweepRow[] {
  return rows.filter(({ name, values }) => name.trim() !== "" && linesOf(values).length > 0);
}

function linesOf(values: string): string[] {
  return values
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Of inputs of nodes the page does not know the type: what looks like a number is one. */
function valueOf(line: string, kind: FieldKind | undefined): unknown {
  if (kind === "text" || kind === "long-text" || kind === "choice") return line;
  if (line === "true" || line === "false") return line === "true";
  return kind === "boolean" ? line : numberOrText(line);
}
