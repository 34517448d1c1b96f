import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { openDatabase } from "@genga/database";
import { type RetentionLimits } from "@genga/jobs";
import { createTicketQueue } from "@genga/queue";
import { createLogger, readConfiguration, requireServices } from "@genga/runtime";
import { openOutputStorage } from "@genga/storage";
import { Keeper, retentionGraceMs } from "./keeper.ts";

const usage = `npm run retention     removes ended jobs beyond the limits now, in small batches; workers do it by themselves
  -- --dry-run          only tells how many jobs of which tenant would go, and what their outputs take
  -- --days N           limits for this run, in place of RETENTION_DAYS, RETENTION_JOBS and RETENTION_MB
  -- --jobs N
  -- --mb N`;

/** The statement reads all ended jobs. */
const statementTimeoutMs = 10 * 60_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      "dry-run": { type: "boolean", default: false },
      days: { type: "string" },
      jobs: { type: "string" },
      mb: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const settings = requireServices(
    readConfiguration({
      ...process.env,
      ...(values.days !== undefined && { RETENTION_DAYS: values.days }),
      ...(values.jobs !== undefined && { RETENTION_JOBS: values.jobs }),
      ...(values.mb !== undefined && { RETENTION_MB: values.mb }),
    }),
  );
  const limits = settings.keeping.retention;
  console.log(`Each tenant keeps ${inWords(limits)}.`);
  const database = openDatabase({
    ...{ databaseUrl: settings.databaseUrl, applicationName: "genga-retention", statementTimeoutMs },
  });
  try {
    if (values["dry-run"]) {
      const excess = await database.keeping.listExcess(limits, { graceMs: retentionGraceMs });
      for (const { tenantName, jobs, bytes } of excess)
        console.log(`${tenantName}: ${jobs} jobs would be removed, with outputs of ${megabytes(bytes)} MB`);
      if (excess.length === 0) console.log("Nothing would be removed.");
      return;
    }
    const log = createLogger({ level: settings.logLevel, name: "retention" });
    const tickets = createTicketQueue({
      ...{ redisUrl: settings.redisUrl, prefix: settings.redisPrefix, logger: log },
    });
    try {
      const keeper = new Keeper({
        ...{ ownerId: `retention-${hostname()}-${process.pid}`, store: database.keeping, tickets, log },
        ...{ events: database.eventSequencer, webhooks: database.webhookQueue, servers: database.servers },
        onDeliveries: () => undefined,
        ...{ settings: settings.keeping, leaseMs: settings.leaseMs },
        storage: await openOutputStorage(settings.storage, settings.dataDir),
      });
      let removed = 0;
      for (let jobs = await keeper.removeOverdue(); jobs > 0; jobs = await keeper.removeOverdue()) {
        removed += jobs;
        await keeper.finishRemovals();
      }
      console.log(
        `${removed} jobs were removed; the workers remove what is left of their files within seconds.`,
      );
    } finally {
      await tickets.close();
    }
  } finally {
    await database.close();
  }
}

function inWords({ ageMs, jobs, bytes }: RetentionLimits): string {
  const limits = [
    ageMs === null ? [] : [`${ageMs / 86_400_000} days`],
    jobs === null ? [] : [`${jobs} jobs`],
    bytes === null ? [] : [`outputs of ${megabytes(bytes)} MB`],
  ].flat();
  return limits.length === 0 ? "all of its ended jobs" : `at most ${limits.join(", ")}`;
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
