import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "./generated/client.ts";

export interface ConnectionOptions {
  /** `postgresql://user:password@host:port/database` */
  databaseUrl: string;
  /** Connections that this process may hold; default 10. */
  poolMax?: number;
  /** Shown in `pg_stat_activity`. */
  applicationName?: string;
}

/**
 * Ten connections serve one process well: statements take a few milliseconds, and an API, a worker and a sweeper stay
 * far below PostgreSQL's default of 100.
 */
const defaultPoolMax = 10;

/** Nothing hangs for ever when PostgreSQL is away, frozen, or behind a dead network. */
const limitsMs = {
  /** To open a connection, or to get one from the pool. */
  connect: 5_000,
  /** PostgreSQL itself ends a statement … */
  statement: 10_000,
  /** … and when not even that answer comes, the connection is given up. */
  answer: 12_000,
  idleInTransaction: 10_000,
};

/** A client that connects at its first statement, and again whenever its connections were lost. */
export function createClient(options: ConnectionOptions): PrismaClient {
  const adapter = new PrismaPg({
    connectionString: inUtc(options.databaseUrl),
    max: options.poolMax ?? defaultPoolMax,
    application_name: options.applicationName ?? "genga",
    connectionTimeoutMillis: limitsMs.connect,
    statement_timeout: limitsMs.statement,
    query_timeout: limitsMs.answer,
    idle_in_transaction_session_timeout: limitsMs.idleInTransaction,
    keepAlive: true,
  });
  return new PrismaClient({ adapter });
}

/** Prisma's driver adapter reads timestamps as if they were UTC, so each session has to speak UTC. */
function inUtc(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  const given = url.searchParams.get("options");
  url.searchParams.set("options", [given, "-c TimeZone=UTC"].filter(Boolean).join(" "));
  return url.href;
}
