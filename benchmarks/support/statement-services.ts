import { startEmbeddedServices, type EmbeddedServices } from "@genga/embedded";
import { migrate } from "@genga/database";
import pg from "pg";

/**
 * Embedded services whose PostgreSQL counts its statements (`pg_stat_statements`, which costs some processor time itself), with
 * a migrated database. The module must be loaded at the server's start, so it is started twice.
 */
export async function startCountingServices(dataDir: string): Promise<EmbeddedServices> {
  const first = await startEmbeddedServices({ dataDir, report: () => undefined });
  try {
    await withClient(first.databaseUrl, (client) =>
      client.query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"),
    );
  } finally {
    await first.stop();
  }
  const services = await startEmbeddedServices({ dataDir, report: () => undefined });
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    await withClient(services.databaseUrl, (client) => client.query("CREATE EXTENSION pg_stat_statements"));
  } catch (error) {
    await services.stop();
    throw error;
  }
  return services;
}

async function withClient(databaseUrl: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
