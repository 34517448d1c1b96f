import { migrate, openDatabase } from "@genga/database";
import { type ContractStores, createTestDatabase } from "@genga/testing";

/** Stores over a database of their own; `close` leaves nothing behind. */
export async function openTestStores(): Promise<ContractStores & { url: string }> {
  const scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  const database = openDatabase({ databaseUrl: scratch.url });
  const { jobs, servers, tenants } = database;
  const close = async (): Promise<void> => {
    await database.close();
    await scratch.drop();
  };
  return { jobs, servers, tenants, url: scratch.url, close };
}
