import { isMet, type Row } from "./row.ts";

const headings = ["bench", "figure", "value", "reach", "met", "note"];

/** The rows as a table of Markdown, padded so that a terminal shows its columns. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [headings, ...rows.map(cellsOf)];
  const widths = headings.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const [head = "", ...body] = lines.map(
    (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`,
  );
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [head, rule, ...body].join("\n");
}

function cellsOf(row: Row): string[] {
  const met = isMet(row);
  return [
    row.bench,
    row.figure,
    withUnit(row.value, row.unit),
    row.reach === undefined
      ? ""
      : "atLeast" in row.reach
        ? `≥ ${row.reach.atLeast}`
        : `≤ ${row.reach.atMost}`,
    met === null ? "" : met ? "yes" : "NO",
    row.note ?? "",
  ];
}

function withUnit(value: number, unit: string): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 3 : Math.abs(value) < 100 ? 1 : 0;
  return `${value.toFixed(digits)}${unit === "" ? "" : ` ${unit}`}`;
}
