import { Prisma } from "../../generated/client.ts";

/** A request that the owner of the server has not begun to meet by then is void: the other server has found other work. */
const askedForSeconds = 10;

/** Whether somebody asks for the prompt now, and its owner has not begun to take it back. Only for processing jobs. */
export function isAsked(job: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(${job}.take_back_asked_at > now() - ${askedForSeconds}::int * interval '1 second'
    AND NOT ${job}.take_back_begun)`;
}
