import {
  type AssetStore,
  type AuditStore,
  type DoorClients,
  type DoorFiles,
  type DoorPrompts,
  type EventReader,
  type EventSequencer,
  type FarmStore,
  type GuessedLanes,
  type IdempotencyStore,
  type JobAnnouncer,
  type JobMarks,
  type JobReader,
  type JobRequests,
  type JobRuns,
  type KeepingStore,
  type KeyStore,
  type LaneStore,
  type LanePauses,
  type LaneServing,
  type RunDurations,
  type ServerSourcesStore,
  type ServerStore,
  type ServerUpkeep,
  type SessionStore,
  type TakeBacks,
  type TemplateStore,
  type TenantLimitStore,
  type TenantStore,
  type UploadStore,
  type WorkOutlook,
  type WebhookQueue,
  type WebhookStore,
} from "@genga/jobs";
import pTimeout from "p-timeout";
import { PrismaAuditStore } from "./tenants/audit-events.ts";
import { createConnection, type ConnectionOptions } from "./connection/connection.ts";
import { withMappedErrors } from "./connection/database-errors.ts";
import { PrismaDoorClients } from "./door/prisma-door-clients.ts";
import { PrismaDoorFiles } from "./door/prisma-door-files.ts";
import { PrismaDoorPrompts } from "./door/prisma-door-prompts.ts";
import { PrismaRunDurations } from "./durations/prisma-run-durations.ts";
import { PrismaEventStore } from "./events/prisma-event-store.ts";
import { PrismaKeepingStore } from "./keeping/prisma-keeping-store.ts";
import { PrismaFarmStore } from "./servers/prisma-farm-store.ts";
import { type QueueLimit } from "./jobs/accepting/queue-room.ts";
import { PrismaIdempotencyStore } from "./jobs/accepting/prisma-idempotency-store.ts";
import { PrismaJobAnnouncer } from "./jobs/announcing/prisma-job-announcer.ts";
import { PrismaWorkOutlook } from "./jobs/outlook/prisma-work-outlook.ts";
import { PrismaJobReader } from "./jobs/reading/prisma-job-reader.ts";
import { PrismaJobMarks } from "./jobs/requests/prisma-job-marks.ts";
import { PrismaJobRequests } from "./jobs/requests/prisma-job-requests.ts";
import { PrismaJobRuns } from "./jobs/running/prisma-job-runs.ts";
import { type RunningLimit } from "./jobs/running/running-limit.ts";
import { PrismaTakeBacks } from "./jobs/taking-back/prisma-take-backs.ts";
import { PrismaKeyStore } from "./tenants/prisma-key-store.ts";
import { PrismaGuessedLanes } from "./jobs/requests/prisma-guessed-lanes.ts";
import { LaneRows } from "./lanes/use-lanes.ts";
import { PrismaLaneStore } from "./lanes/prisma-lane-store.ts";
import { PrismaLanePauses } from "./lanes/prisma-lane-pauses.ts";
import { PrismaLaneServing } from "./lanes/prisma-lane-serving.ts";
import { PrismaServerSources } from "./servers/prisma-server-sources.ts";
import { PrismaServerStore } from "./servers/prisma-server-store.ts";
import { PrismaServerUpkeep } from "./servers/prisma-server-upkeep.ts";
import { PrismaSessionStore } from "./tenants/prisma-session-store.ts";
import { PrismaTenantLimitStore } from "./tenants/prisma-tenant-limit-store.ts";
import { PrismaTenantStore } from "./tenants/prisma-tenant-store.ts";
import { PrismaTemplateStore } from "./templates/prisma-template-store.ts";
import { PrismaAssetStore } from "./uploads/prisma-asset-store.ts";
import { PrismaUploadStore } from "./uploads/prisma-upload-store.ts";
import { PrismaWebhookQueue } from "./webhooks/prisma-webhook-queue.ts";
import { PrismaWebhookStore } from "./webhooks/prisma-webhook-store.ts";

/** The limits of tenants, unless `tenant_limits` says otherwise; `null` = no limit. */
type JobLimits = QueueLimit & RunningLimit;

/** All stores of one process, over one pool. Renewals of leases have connections of their own. */
export interface Database {
  readonly jobReader: JobReader;
  readonly jobRequests: JobRequests;
  readonly jobAnnouncer: JobAnnouncer;
  readonly jobMarks: JobMarks;
  readonly jobRuns: JobRuns;
  readonly takeBacks: TakeBacks;
  readonly idempotency: IdempotencyStore;
  readonly eventReader: EventReader;
  readonly eventSequencer: EventSequencer;
  readonly lanes: LaneStore;
  readonly laneServing: LaneServing;
  readonly runDurations: RunDurations;
  readonly workOutlook: WorkOutlook;
  readonly guessedLanes: GuessedLanes;
  readonly lanePauses: LanePauses;
  readonly servers: ServerStore;
  readonly serverUpkeep: ServerUpkeep;
  readonly serverSources: ServerSourcesStore;
  readonly farm: FarmStore;
  readonly tenants: TenantStore;
  readonly keys: KeyStore;
  readonly sessions: SessionStore;
  readonly audit: AuditStore;
  readonly tenantLimits: TenantLimitStore;
  readonly uploads: UploadStore;
  readonly assets: AssetStore;
  readonly templates: TemplateStore;
  readonly keeping: KeepingStore;
  readonly doorPrompts: DoorPrompts;
  readonly doorClients: DoorClients;
  readonly doorFiles: DoorFiles;
  readonly webhooks: WebhookStore;
  readonly webhookQueue: WebhookQueue;
  /** Resolves when PostgreSQL answers. @throws StoreUnavailableError, or the signal's reason */
  ping(signal?: AbortSignal): Promise<void>;
  /** Waits for running statements, then closes the pool. May be called again; later calls of the stores are refused. */
  close(): Promise<void>;
}

export interface DatabaseOptions extends ConnectionOptions {
  limits?: JobLimits;
  /** Jobs are accepted into at most this many lanes; further ones wait in the lane `default`. */
  lanesMax?: number;
}

/**
 * Connects only when the first statement needs a connection, and again after an outage. While the database cannot be
 * reached, every method throws `StoreUnavailableError`: at once when the connection is refused, after a few seconds
 * when nothing answers.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const connection = createConnection(options);
  // A worker must keep its leases even when other statements use up its pool, or when it gets no new connections.
  const renewals = createConnection({ ...options, poolMax: renewalsAtOnce, keepsConnections: true });
  // Statements that each job costs, prepared. These connections stay open, so that none is prepared twice.
  const hot = createConnection({
    ...options,
    poolMax: preparedAtOnce,
    keepsConnections: true,
    plansById: true,
  });
  const { client, statements } = connection;
  const events = new PrismaEventStore(client);
  const limits = options.limits ?? { jobsQueuedMax: null, jobsRunningMax: null };
  const close = async (): Promise<void> => {
    await Promise.all([connection.close(), renewals.close(), hot.close()]);
  };
  return {
    jobReader: new PrismaJobReader({ database: client, limits }),
    jobRequests: new PrismaJobRequests({
      ...{ database: client, statements, limits },
      lanesMax: options.lanesMax ?? Infinity,
    }),
    jobAnnouncer: new PrismaJobAnnouncer({ database: client, limits }),
    jobRuns: new PrismaJobRuns({
      ...{ database: client, prepared: hot.statements, renewals: renewals.statements, limits },
    }),
    takeBacks: new PrismaTakeBacks({ database: client, prepared: hot.statements, limits }),
    idempotency: new PrismaIdempotencyStore(client),
    eventReader: events,
    eventSequencer: events,
    lanes: new PrismaLaneStore(client),
    laneServing: new PrismaLaneServing(client),
    runDurations: new PrismaRunDurations(client),
    workOutlook: new PrismaWorkOutlook(client),
    guessedLanes: new PrismaGuessedLanes(client, new LaneRows({ lanesMax: options.lanesMax ?? Infinity })),
    jobMarks: new PrismaJobMarks(client),
    lanePauses: new PrismaLanePauses(client),
    servers: new PrismaServerStore({ database: client, statements, renewals: renewals.statements }),
    serverUpkeep: new PrismaServerUpkeep(client),
    serverSources: new PrismaServerSources(client),
    farm: new PrismaFarmStore(client),
    tenants: new PrismaTenantStore(client),
    keys: new PrismaKeyStore(client),
    sessions: new PrismaSessionStore(client),
    audit: new PrismaAuditStore(client),
    tenantLimits: new PrismaTenantLimitStore(client),
    uploads: new PrismaUploadStore(client),
    assets: new PrismaAssetStore(client),
    templates: new PrismaTemplateStore(client),
    keeping: new PrismaKeepingStore(client),
    doorPrompts: new PrismaDoorPrompts(client),
    doorClients: new PrismaDoorClients(client),
    doorFiles: new PrismaDoorFiles(client, statements),
    webhooks: new PrismaWebhookStore(client),
    webhookQueue: new PrismaWebhookQueue(client),
    ping: (signal) =>
      withMappedErrors(async () => {
        const answer = client.$queryRaw`SELECT 1`;
        // After the signal the query goes on, and its answer is dropped.
        await (signal === undefined ? answer : pTimeout(answer, { milliseconds: Infinity, signal }));
      }),
    close,
  };
}

/** Leases of jobs and leases of servers are renewed at the same time. */
const renewalsAtOnce = 2;

/** Claims, ends and progress at the same time, some of them waiting for rows. */
const preparedAtOnce = 6;
