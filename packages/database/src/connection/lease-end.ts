import { Prisma } from "../generated/client.ts";

/** When a lease taken or renewed now ends, by the database's clock. */
export function leaseEnd(leaseMs: number): Prisma.Sql {
  return Prisma.sql`now() + ${leaseMs}::float8 * interval '1 millisecond'`;
}
