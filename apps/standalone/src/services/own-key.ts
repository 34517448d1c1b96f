import { randomBytes } from "node:crypto";
import { openDatabase } from "@genga/database";
import { type ApiKey } from "@genga/runtime";

/**
 * The key with which `npm start` and the demo ask their own API. It has to operate, since only operators are shown the
 * servers' addresses: a configured key that does, or else one that is made for this run. Such a key goes into the
 * configuration of this one API process, so it is stored nowhere, and nobody can use it after the run.
 * @returns undefined when nobody has a key yet, so that the API asks nobody for one
 * @throws StoreUnavailableError
 */
export async function findOwnKey(options: {
  configured: readonly ApiKey[];
  databaseUrl: string;
}): Promise<{ key: ApiKey; isForThisRun: boolean } | undefined> {
  const { configured, databaseUrl } = options;
  const operating = configured.find(({ role }) => role === "operate");
  if (operating !== undefined) return { key: operating, isForThisRun: false };
  const tenant = configured[0]?.tenant ?? (await tenantOfMadeKeys(databaseUrl));
  if (tenant === undefined) return undefined;
  const key = randomBytes(32).toString("base64url");
  return { key: { tenant, role: "operate", key }, isForThisRun: true };
}

/** Whose jobs the demo's are: the tenant of the newest key that works, so that whoever made it can look at them. */
async function tenantOfMadeKeys(databaseUrl: string): Promise<string | undefined> {
  const database = openDatabase({ databaseUrl, applicationName: "genga-standalone", poolMax: 1 });
  try {
    if (!(await database.keys.hasKeys())) return undefined;
    const works = (await database.keys.listKeys()).find(({ revokedAt }) => revokedAt === null);
    return works?.tenant.name ?? "default";
  } finally {
    await database.close();
  }
}
