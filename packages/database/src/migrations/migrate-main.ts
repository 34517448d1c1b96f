/**
 * `npm run migrate`: applies missing migrations to the database of DATABASE_URL, and prints which. While PostgreSQL cannot be
 * reached, it waits for a few minutes: processes of a deployment start in any order.
 */
import { StoreUnavailableError } from "@genga/jobs";
import pRetry from "p-retry";
import { migrate } from "./migrate.ts";

const waitMaxMs = 300_000;
const betweenTriesMs = 1_000;

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
    let hasSaid = false;
    const applied = await pRetry(async () => migrate({ databaseUrl, signal: stopping.signal }), {
      retries: Infinity,
      minTimeout: betweenTriesMs,
      factor: 1,
      maxRetryTime: waitMaxMs,
      signal: stopping.signal,
      shouldRetry: ({ error }) => error instanceof StoreUnavailableError,
      onFailedAttempt: ({ error }) => {
        if (hasSaid || !(error instanceof StoreUnavailableError)) return;
        console.error(`${error.message} Waiting for it, for ${waitMaxMs / 60_000} minutes at most.`);
        hasSaid = true;
      },
    });
    console.log(applied.length === 0 ? "The database is up to date." : `Applied ${applied.join(", ")}.`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
