import { Prisma } from "../generated/client.ts";

/** The expiry of a lease that is taken or renewed now, by the database's clock. */
export function leaseEnd(leaseMs: number): Prisma.Sql {
  return Prisma.sql`now() + ${leaseMs}::float8 * interval '1 millisecond'`;
}
