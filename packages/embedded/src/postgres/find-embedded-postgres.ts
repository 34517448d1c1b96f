import { existsSync } from "node:fs";
import { join } from "node:path";
import { databaseUrlOf } from "./embedded-postgres.ts";
import { postgresAccount } from "./postgres-account.ts";
import { postgresFolder } from "./postgres-folder.ts";
import { readSettings } from "../process/settings-file.ts";

/**
 * Returns the URL of this data folder's Postgres, which answers while `npm start` runs. It starts no server.
 * @returns undefined if no Postgres was ever started in this folder
 */
export function findEmbeddedPostgres(dataDir: string): string | undefined {
  if (!existsSync(join(dataDir, "postgres"))) return undefined;
  const settingsPath = join(
    postgresFolder(dataDir, postgresAccount(), () => undefined),
    "settings.json",
  );
  if (!existsSync(settingsPath)) return undefined;
  const { port, password } = readSettings(settingsPath);
  return port === undefined ? undefined : databaseUrlOf({ port, password });
}
