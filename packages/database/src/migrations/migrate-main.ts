/** `npm run migrate`: applies missing migrations to the database of DATABASE_URL, and prints which. */
import { migrate } from "./migrate.ts";

const databaseUrl = process.env["DATABASE_URL"];
if (databaseUrl === undefined || databaseUrl === "") {
  console.error(
    "DATABASE_URL is not set. (`npm start` without DATABASE_URL starts a Postgres of its own and migrates it.)",
  );
  process.exitCode = 2;
} else {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      stopping.abort(new Error(`Stopped by ${signal}.`));
    });
  }
  try {
    const applied = await migrate({ databaseUrl, signal: stopping.signal });
    console.log(applied.length === 0 ? "The database is up to date." : `Applied ${applied.join(", ")}.`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
