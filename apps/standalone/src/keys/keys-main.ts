import { existsSync } from "node:fs";
import { openDatabase } from "@genga/database";
import { findEmbeddedPostgres } from "@genga/embedded";
import { KeyNameTakenError, StoreUnavailableError } from "@genga/jobs";
import { ConfigurationError, readConfiguration } from "@genga/runtime";
import { keysUsage, KeysUsageError, runKeysCommand } from "./keys-command.ts";

/**
 * `npm run keys`: on DATABASE_URL, or on the database that `npm start` runs here. Exit codes: 0 done, 1 failed, 2
 * invalid arguments.
 */
async function main(): Promise<number> {
  if (existsSync(".env")) process.loadEnvFile(".env");
  const { databaseUrl, dataDir } = readConfiguration(process.env);
  const url = databaseUrl ?? findEmbeddedPostgres(dataDir);
  if (url === undefined) {
    console.error(`DATABASE_URL is not set, and \`npm start\` has not made a database in ${dataDir} yet.`);
    return 1;
  }
  const database = openDatabase({ databaseUrl: url, applicationName: "genga-keys", poolMax: 1 });
  try {
    console.log(await runKeysCommand(process.argv.slice(2), database.keys));
    return 0;
  } catch (error) {
    if (error instanceof KeysUsageError) {
      console.error(`${error.message}\n\n${keysUsage}`.trimStart());
      return 2;
    }
    if (error instanceof StoreUnavailableError) {
      const hint = databaseUrl === undefined ? " Is `npm start` running?" : "";
      console.error(`The database does not answer.${hint} ${error.message}`);
      return 1;
    }
    if (error instanceof KeyNameTakenError) {
      console.error(error.message);
      return 1;
    }
    throw error;
  } finally {
    await database.close();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
