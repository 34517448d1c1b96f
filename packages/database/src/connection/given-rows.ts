import { Prisma } from "../generated/client.ts";

/**
 * A condition on the rows of a `jsonb_to_recordset` that all have `given: 1`. PostgreSQL takes such a function for a table of a
 * hundred rows; by this comparison it expects one, and plans to find what belongs to it by indexes.
 */
export const isOneGiven = Prisma.sql`given = 1`;
