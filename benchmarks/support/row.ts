import { z } from "zod";

/** What a figure has to be: not below, or not above this number, in the unit of its row. */
const reachSchema = z.union([
  z.strictObject({ atLeast: z.number() }),
  z.strictObject({ atMost: z.number() }),
]);

export const rowSchema = z.strictObject({
  /** The benchmark, as in docs/performance.md: `overhead`, `accept, batch`. */
  bench: z.string().min(1),
  /** What was measured, in a few words: `plain ÷ Genga`. */
  figure: z.string().min(1),
  value: z.number(),
  /** `×` for a ratio; `ms`, `jobs/s`, `MB` and so on for what is stated beside it. */
  unit: z.string(),
  reach: reachSchema.optional(),
  /** What a reader must know to judge the figure: counts, rounds, what a part cost. */
  note: z.string().optional(),
});

/** One measured figure. */
export type Row = z.infer<typeof rowSchema>;

/** @returns null when the row has no reach: its figure is only stated */
export function isMet({ value, reach }: Row): boolean | null {
  if (reach === undefined) return null;
  return "atLeast" in reach ? value >= reach.atLeast : value <= reach.atMost;
}
