import { randomBytes } from "node:crypto";
import { openDatabase } from "@genga/database";
import { type ApiKey } from "@genga/runtime";

/**
 * Finds the key that `npm start` and the demo send to their own API. The key needs the role `operate`, because only
 * operators see the servers' addresses. It is a configured key with that role, or else a key that is made for this run.
 * Such a key exists only in the configuration of this one API process, so it is stored nowhere and is useless after the
 * run.
 * @returns undefined if there is no key yet, so that the API asks for none
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

/**
 * The tenant of the demo's jobs: that of the newest valid key, so that the person who made the key can see the jobs.
 */
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
