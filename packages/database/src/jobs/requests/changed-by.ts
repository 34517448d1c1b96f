import { Prisma } from "../../generated/client.ts";

/** The data of an event of a change that a person asked for: the name of the key, where there is one. */
export function changedBy(keyName: string | undefined): Prisma.Sql {
  return Prisma.sql`jsonb_strip_nulls(jsonb_build_object('by', ${keyName ?? null}::text))`;
}
