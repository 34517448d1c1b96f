import { type PrismaClient } from "../generated/client.ts";

interface UrlRow {
  id: string;
  url: string;
}

/**
 * Rows of earlier versions hold URLs as they were configured, passwords included. They get the one spelling of their
 * server. Where several rows are of one server, the one that has this spelling is kept, else the one that a worker owns, else
 * the one that was owned last; the others are set aside under names of their own. At every start, since a process of an
 * earlier version may add such rows again while versions are mixed.
 * @returns how many rows were changed
 */
export async function cleanServerUrls(
  database: PrismaClient,
  identityOf: (url: string) => string,
): Promise<number> {
  const rows = await database.server.findMany({ select: { url: true } });
  if (rows.every(({ url }) => identityOf(url) === url)) return 0;
  return await database.$transaction(async (transaction) => {
    // Nobody registers or cleans meanwhile; readers go on.
    await transaction.$executeRaw`LOCK TABLE servers IN SHARE ROW EXCLUSIVE MODE`;
    const bestFirst = await transaction.$queryRaw<UrlRow[]>`
      SELECT id, url FROM servers
      ORDER BY coalesce(lease_expires_at > now(), false) DESC, lease_expires_at DESC NULLS LAST, lease_number DESC, id`;
    const renamed = planUrls(bestFirst, identityOf).filter(({ url, before }) => url !== before);
    // Those that are set aside first: they may hold the name that another one gets.
    renamed.sort((one, other) => Number(isSetAside(other.url)) - Number(isSetAside(one.url)));
    for (const { id, url } of renamed) await transaction.server.update({ where: { id }, data: { url } });
    return renamed.length;
  });
}

function planUrls(
  bestFirst: readonly UrlRow[],
  identityOf: (url: string) => string,
): (UrlRow & { before: string })[] {
  const taken = new Set<string>();
  // Workers of this version know the row that has the right name already by its id, and go on with it.
  const isRight = ({ url }: UrlRow): boolean => identityOf(url) === url;
  const rightFirst = [...bestFirst.filter(isRight), ...bestFirst.filter((row) => !isRight(row))];
  return rightFirst.map(({ id, url: before }) => {
    const identity = identityOf(before);
    const url = taken.has(identity) ? `${identity}${setAside}${id}` : identity;
    taken.add(url);
    return { id, url, before };
  });
}

const setAside = "#earlier-";

function isSetAside(url: string): boolean {
  return url.includes(setAside);
}

/** A URL as it may be shown, also of a row that was not cleaned yet: without user and password. */
export function withoutUserInfo(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/?#]*@/i, "$1");
}
