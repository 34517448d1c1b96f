import stringWidth from "string-width";
import { safeText } from "./safe-text.ts";

/** A column: its head, and the cell of each row. The last one is not filled up. */
export type Column<Row> = readonly [head: string, cell: (row: Row) => string | number | null | undefined];

/** Rows below each other, with spaces between the columns; wide characters count double, as terminals show them. */
export function tableOf<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const lines = [
    columns.map(([head]) => head),
    ...rows.map((row) => columns.map(([, cell]) => safeText(String(cell(row) ?? "–")))),
  ];
  const widths = columns.map((_column, at) =>
    Math.max(...lines.map((cells) => stringWidth(cells[at] ?? ""))),
  );
  return lines.map((cells) =>
    cells
      .map((cell, at) =>
        at === cells.length - 1 ? cell : cell + " ".repeat((widths[at] ?? 0) - stringWidth(cell)),
      )
      .join("  ")
      .trimEnd(),
  );
}

/** Names and values below each other; what is absent is left out. */
export function factsOf(facts: readonly (readonly [string, string | number | null | undefined])[]): string[] {
  const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const width = Math.max(0, ...known.map(([name]) => stringWidth(name)));
  return known.map(([name, value]) => `${name.padEnd(width)}  ${safeText(String(value))}`);
}
