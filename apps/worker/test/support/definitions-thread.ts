import { openDatabase, type Database } from "@genga/database";
import { DefinitionsThread } from "@genga/workflows";
import { createMigratedDatabase } from "./test-stack.ts";

/** A database of its own, and the thread that stores servers' definitions in it. */
export interface DatabaseWithDefinitions {
  readonly databaseUrl: string;
  readonly database: Database;
  readonly definitions: DefinitionsThread;
  stop(): Promise<void>;
}

export async function openDatabaseWithDefinitions(): Promise<DatabaseWithDefinitions> {
  const testDatabase = await createMigratedDatabase();
  const database = openDatabase({ databaseUrl: testDatabase.url });
  const definitions = new DefinitionsThread({
    entry: new URL("../../src/servers/definitions-main.ts", import.meta.url),
    databaseUrl: testDatabase.url,
  });
  return {
    databaseUrl: testDatabase.url,
    database,
    definitions,
    stop: async () => {
      await definitions.close();
      await database.close();
      await testDatabase.drop();
    },
  };
}
