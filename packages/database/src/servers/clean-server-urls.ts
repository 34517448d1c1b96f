import { type PrismaClient } from "../generated/client.ts";

interface UrlRow {
  id: string;
  url: string;
}

/**
 * Rewrites the URLs in rows of earlier versions, which are stored as they were configured, with passwords, to the
 * identity of their server. If several rows are one server, one of them is kept: the row whose URL is the identity
 * already, else the one that a worker owns, else the one that was owned last. The others get URLs of their own. This
 * runs at every start, because processes of an earlier version may add such rows again during a deploy.
 * @returns how many rows were changed
 */
export async function cleanServerUrls(
  database: PrismaClient,
  identityOf: (url: string) => string,
): Promise<number> {
  const rows = await database.server.findMany({ select: { url: true } });
  if (rows.every(({ url }) => identityOf(url) === url)) return 0;
  return await database.$transaction(async (transaction) => {
    // No other process can register or rewrite servers meanwhile; reads go on.
    await transaction.$executeRaw`LOCK TABLE servers IN SHARE ROW EXCLUSIVE MODE`;
    const bestFirst = await transaction.$queryRaw<UrlRow[]>`
      SELECT id, url FROM servers
      ORDER BY coalesce(lease_expires_at > now(), false) DESC, lease_expires_at DESC NULLS LAST, lease_number DESC, id`;
    const renamed = planUrls(bestFirst, identityOf).filter(({ url, before }) => url !== before);
    // Rows that are set aside come first, since one of them may hold the URL that another row gets.
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
  // Workers of this version already know the row with the right URL by its id, so this row is kept.
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

/** A URL that may be shown, also if its row was not rewritten yet: without user and password. */
export function withoutUserInfo(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/?#]*@/i, "$1");
}
