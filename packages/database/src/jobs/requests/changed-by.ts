import { Prisma } from "../../generated/client.ts";

/** The data of the event of a change that a person requested: the name of the key, if there is one. */
export function changedBy(keyName: string | undefined): Prisma.Sql {
  return Prisma.sql`jsonb_strip_nulls(jsonb_build_object('by', ${keyName ?? null}::text))`;
}
