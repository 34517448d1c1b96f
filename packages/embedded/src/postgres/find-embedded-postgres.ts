import { existsSync } from "node:fs";
import { join } from "node:path";
import { databaseUrlOf } from "./embedded-postgres.ts";
import { postgresAccount } from "./postgres-account.ts";
import { postgresFolder } from "./postgres-folder.ts";
import { readSettings } from "../process/settings-file.ts";

/**
 * Where the Postgres of this data folder answers while `npm start` runs it; it starts none.
 * @returns undefined when none was ever started here
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
