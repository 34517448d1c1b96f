import { type Prisma } from "../src/generated/client.ts";
import type pg from "pg";

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  Plans?: Plan[];
}

/** Runs the statement, and counts the rows that it read of a table, those included that it left out afterwards. */
export async function rowsRead(
  client: pg.Client,
  table: string,
  { text, values }: Pick<Prisma.Sql, "text" | "values">,
): Promise<number> {
  const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
    `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
    values,
  );
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  return rows
    .flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan))
    .filter((node) => node["Relation Name"] === table)
    .map((node) => {
      const removed = (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0);
      return (node["Actual Rows"] + removed) * node["Actual Loops"];
    })
    .reduce((sum, count) => sum + count, 0);
}
