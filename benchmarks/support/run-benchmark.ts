import { parseArgs } from "node:util";
import { z } from "zod";
import { endChildrenOnSignals } from "./end-children.ts";
import { type Row } from "./row.ts";
import { tableOf } from "./table.ts";

/** A number from a command line, which cannot be negative. */
export const count = z.coerce.number().nonnegative();

/**
 * The command of a benchmark's file: reads its options from the command line (`sleepMs` is `--sleep-ms 50`), runs it,
 * prints its rows, and hands them to `npm run bench` if that started this process. If the benchmark throws, so does this.
 * @param schema of the options; each needs a default
 */
export async function runBenchmark<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  run: (options: z.output<z.ZodObject<Shape>>) => Promise<Row[]>,
): Promise<void> {
  endChildrenOnSignals();
  const rows = await run(schema.parse(readArguments(Object.keys(schema.shape))));
  console.log(`\n${tableOf(rows)}`);
  process.send?.({ type: "rows", rows });
}

function readArguments(names: readonly string[]): Record<string, unknown> {
  const flags = new Map(
    names.map((name) => [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), name]),
  );
  const { values } = parseArgs({
    options: Object.fromEntries([...flags.keys()].map((flag) => [flag, { type: "string" as const }])),
  });
  return Object.fromEntries(Object.entries(values).map(([flag, value]) => [flags.get(flag) ?? flag, value]));
}
