import { randomUUID } from "node:crypto";
import pg from "pg";

/** A database for one test file alone. */
export interface TestDatabase {
  readonly url: string;
  /** Removes the database, and ends connections that are still open. */
  drop(): Promise<void>;
}

/**
 * Creates an empty or migrated database on the Postgres for tests (TEST_DATABASE_URL, which `npm test` sets).
 *
 * @param options.migrate applies the migrations to the database at the URL that it is given. A template is migrated
 * once for all test files. Databases are copies of it, to which the migrations are applied again, without effect.
 */
export async function createTestDatabase(
  options: { readonly migrate?: (databaseUrl: string) => Promise<unknown> } = {},
): Promise<TestDatabase> {
  const adminUrl = testServiceUrl("TEST_DATABASE_URL");
  const { migrate } = options;
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  const url = withDatabase(adminUrl, name);
  await withClient(adminUrl, async (client) => {
    if (migrate === undefined) {
      await client.query(`CREATE DATABASE ${name}`);
      return;
    }
    await withTemplateLock(client, async () => {
      const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [templateName]);
      if (found.rowCount === 0) {
        await client.query(`CREATE DATABASE ${draftName}`);
        await migrate(withDatabase(adminUrl, draftName));
        await client.query(`ALTER DATABASE ${draftName} RENAME TO ${templateName}`);
      }
      // Only one process at a time can copy a template, and only while no connection is open to it.
      await client.query(`CREATE DATABASE ${name} TEMPLATE ${templateName}`);
    });
  });
  await migrate?.(url);
  return {
    url,
    drop: () =>
      withClient(adminUrl, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}

/**
 * The URL of a service that `npm test` starts for the tests: TEST_DATABASE_URL or TEST_REDIS_URL.
 *
 * @throws Error that says how to run the tests
 */
export function testServiceUrl(name: "TEST_DATABASE_URL" | "TEST_REDIS_URL"): string {
  const url = process.env[name];
  if (url === undefined) {
    throw new Error(
      `${name} is not set: run the tests with \`npm test\`, one file with \`npm test -- PATH\``,
    );
  }
  return url;
}

const templateName = "genga_template";
const draftName = "genga_template_draft";

async function withTemplateLock(client: pg.Client, work: () => Promise<void>): Promise<void> {
  const lock = 832_801; // any number that all test files share
  await client.query("SELECT pg_advisory_lock($1)", [lock]);
  try {
    await client.query(`DROP DATABASE IF EXISTS ${draftName} WITH (FORCE)`);
    await work();
  } finally {
    await client.query("SELECT pg_advisory_unlock($1)", [lock]);
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
