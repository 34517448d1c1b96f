/** What is chosen in the list of batches. */
export interface BatchesSearch {
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: string;
}

const labels = ["project", "scene", "shot", "tag"] as const;

/** Addresses may be old or written by hand: what is not known is left out. */
export function readBatchesSearch(search: Record<string, unknown>): BatchesSearch {
  return Object.fromEntries(
    labels.flatMap((name) => {
      const value = search[name];
      return (typeof value === "string" && value !== "") || typeof value === "number"
        ? [[name, String(value)]]
        : [];
    }),
  );
}

const sheetMarks = ["pick", "reject", "none"] as const;
export type SheetMark = (typeof sheetMarks)[number];

/** What is chosen on the page of a batch. */
export interface BatchSearch {
  /** Absent: its jobs as a table. */
  readonly part?: "chains" | "sheet";
  /** On the contact sheet: only jobs with this mark. */
  readonly mark?: SheetMark;
}

export function readBatchSearch(search: Record<string, unknown>): BatchSearch {
  const mark = sheetMarks.find((each) => each === search["mark"]);
  return {
    ...(search["part"] === "sheet" && { part: "sheet" as const }),
    ...(search["part"] === "chains" && { part: "chains" as const }),
    ...(mark !== undefined && { mark }),
  };
}
