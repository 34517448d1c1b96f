import { hostname } from "node:os";
import { type NotChecked } from "@genga/comfyui";
import { openDatabase, type Database } from "@genga/database";
import {
  EventFeed,
  type Signals,
  type AssetStore,
  type AuditStore,
  type IdempotencyStore,
  type JobReader,
  type JobType,
  type KeyStore,
  type JobMarks,
  type LanePauses,
  type OutputStorage,
  type RunDurations,
  type ServerUpkeep,
  type Principal,
  type TenantJobReader,
  type TemplateStore,
  type TenantLimitStore,
  type UploadStore,
  type WebhookStore,
} from "@genga/jobs";
import {
  createAdmissions,
  createQueueBoard,
  createSignals,
  createTicketQueue,
  type BullTicketQueue,
  type QueueBoard,
} from "@genga/queue";
import {
  openTracing,
  type KeepingSettings,
  type Logger,
  type ServiceConfiguration,
  type Tracing,
} from "@genga/runtime";
import { openOutputStorage } from "@genga/storage";
import { type Zips } from "./archives/zips.ts";
import { type Thumbnails } from "./thumbnails/thumbnails.ts";
import { ComfyJobs } from "./comfy-api/comfy-jobs.ts";
import { createAcceptingParts } from "./accepting/accepting-parts.ts";
import { SubmissionThread } from "./accepting/submission-thread.ts";
import { Submissions } from "./accepting/submissions.ts";
import { createAccessParts, type AccessTimes } from "./access/access-parts.ts";
import { type Access } from "./access/access.ts";
import { BodyMemory } from "./http/body-memory.ts";
import { type StallLimit } from "./http/stall-limit.ts";
import { createJobDetails } from "./eta/create-job-details.ts";
import { createLivePreviews, type LivePreviews } from "./previews/live-previews.ts";
import { type JobDetails } from "./jobs/job-details.ts";
import { type KeyWatch } from "./access/key-watch.ts";
import { KnownLimits } from "./access/known-limits.ts";
import { type Sessions } from "./access/sessions.ts";
import { type MadeKeys } from "./access/made-keys.ts";
import { type KnownServers } from "./servers/known-servers.ts";
import { startDefinitionsThread } from "./servers/definitions-thread.ts";
import { KnownModels } from "./servers/model-catalogue.ts";
import { OperatorQueue } from "./servers/operator-queue.ts";
import { createMetrics, type Metrics } from "./http/metrics.ts";
import { probesOf, type Probes } from "./servers/probes.ts";
import { type ShownFarm } from "./servers/shown-farm.ts";
import { UncheckedInputs } from "./submissions/unchecked-inputs.ts";
import { type JobCommands } from "./submissions/job-commands.ts";
import { boardPaths } from "./http/paths.ts";
import { type SignedLinks } from "./access/signed-links.ts";
import { type TemplateJudge } from "./templates/judge-template.ts";
import { TenantAdmission, type TenantAdmissionParts } from "./access/tenant-admission.ts";
import { type WatchTimes } from "./jobs/watch-job.ts";
import { DashboardPages, dashboardFolder } from "./pages/dashboard-pages.ts";
import { NewServers } from "./servers/new-servers.ts";
import { type NewWebhooks } from "./webhooks/new-webhooks.ts";
import { sharingParts } from "./sharing-parts.ts";
import { ownDoorParts, type OwnDoorParts } from "./comfyui-door/own-door-parts.ts";
import { webhookParts } from "./webhooks/webhook-parts.ts";

/** All parts of the API. */
export interface ApiDependencies {
  access: Access;
  admission: TenantAdmission;
  limits: KnownLimits;
  tenantLimits: TenantLimitStore;
  jobs: JobReader;
  /** Reads the jobs of the principal's tenant. */
  ownJobs: (principal: Principal) => TenantJobReader;
  /** Changes the jobs of the principal's tenant. */
  jobCommands: (principal: Principal) => JobCommands;
  submissions: Submissions;
  jobDetails: JobDetails;
  servers: KnownServers;
  serverUpkeep: Pick<ServerUpkeep, "listUpkeep">;
  models: KnownModels;
  templates: TemplateStore;
  templateJudge: TemplateJudge;
  jobMarks: JobMarks;
  lanePauses: LanePauses;
  operatorQueue: OperatorQueue;
  runDurations: Pick<RunDurations, "readEstimateError">;
  feed: EventFeed;
  livePreviews: LivePreviews;
  storage: OutputStorage;
  /** Zips of outputs, a few at once. */
  zips: Zips;
  /** For answers with files. */
  stallLimit: StallLimit;
  signedLinks: SignedLinks;
  thumbnails: Thumbnails;
  uploads: UploadStore;
  assets: AssetStore;
  /** Jobs as the Comfy API v2 shows them. */
  comfyJobs: ComfyJobs;
  idempotency: IdempotencyStore;
  keys: KeyStore;
  madeKeys: MadeKeys;
  sessions: Sessions;
  keyWatch: KeyWatch;
  audit: AuditStore;
  webhooks: WebhookStore;
  newWebhooks: NewWebhooks;
  newServers: NewServers;
  signals: Pick<Signals, "publish">;
  /** For clients of ComfyUI's own protocol. */
  door: OwnDoorParts;
  board: QueueBoard;
  pages: DashboardPages;
  metrics: Metrics;
  probes: Probes;
  log: Logger;
  version: string;
  keeping: KeepingSettings;
  startedAt: number;
  /** Aborted when the process is asked to stop: it is not ready any more, and works on until `stopping`. */
  leaving: AbortSignal;
  /** Aborted when the process stops; open streams end then. */
  stopping: AbortSignal;
  watchTimes: WatchTimes;
  close(): Promise<void>;
}

/** Intervals that tests shorten. */
export interface ApiTimes extends AccessTimes {
  watch: WatchTimes;
  serversMaxAgeMs: number;
  /** A client that takes nothing of a file or zip for this long counts as gone. */
  stalledMs: number;
}

const defaultTimes: ApiTimes = {
  watch: { heartbeatMs: 15_000, lookMinMs: 500, lookMaxMs: 10_000 },
  serversMaxAgeMs: 1_000,
  keys: { rememberMs: 10_000, checkEveryMs: 1_000 },
  streamKeysEveryMs: 5_000,
  stalledMs: 60_000,
};
const version = "0.1.0";

/**
 * The composition root: builds all parts by hand. Waits for PostgreSQL, without which the API can promise nothing.
 * Redis may become available later.
 * @param options.starting ends the waiting
 */
export async function openDependencies(
  settings: ServiceConfiguration,
  log: Logger,
  options: Record<"starting" | "leaving" | "stopping", AbortSignal> & { times?: Partial<ApiTimes> },
): Promise<ApiDependencies> {
  const { leaving, stopping } = options;
  const times = { ...defaultTimes, ...options.times };
  const database = openApiDatabase(settings);
  const redis = { redisUrl: settings.redisUrl, prefix: settings.redisPrefix, logger: log };
  const tickets = createTicketQueue(redis);
  const [signals, livePreviews] = [createSignals(redis), createLivePreviews(redis)];
  const admissions = createAdmissions(redis);
  const board = createQueueBoard({ ...redis, ...boardPaths(settings.publicUrl) });
  const definitions = startDefinitionsThread(settings);
  /** What has to end while the connections are still there. */
  const endings: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    await Promise.allSettled(endings.map((end) => end()));
    const parts = [tickets, signals, livePreviews, board, admissions, definitions];
    await Promise.allSettled(parts.map((part) => part.close()));
    await database.close();
  };
  try {
    const storage = await openOutputStorage(settings.storage, settings.dataDir);
    const { jobReader: jobs, uploads, templates, keys, jobMarks, audit, webhooks } = database;
    const metrics = metricsOf(database, tickets, () => servers.farm());
    const pages = new DashboardPages(dashboardFolder);
    const { defaultTenant, ...accessParts } = await createAccessParts(settings, times, {
      ...{ database, metrics, log, hasSignInPage: () => pages.areThere },
      ...{ starting: options.starting, stopping },
    });
    const tracing = await openTracing({ service: "genga-api", endpoint: settings.tracesEndpoint, log });
    const sending = webhookParts(settings, { database, signals, metrics: metrics.webhooks, log, leaving });
    const { end, ...accepting } = acceptingParts(
      settings,
      { database, definitions, tickets, signals, storage, logger: log, defaultTenantId: defaultTenant.id },
      { metrics, tracing, serversMaxAgeMs: times.serversMaxAgeMs },
    );
    endings.push(end, sending.end, () => tracing.close());
    const { servers } = accepting;
    const feed = feedOf(database, signals, log);
    const door = ownDoorParts(database, servers, storage, {
      ...{ feed, redis, keyWatch: accessParts.keyWatch, log, openSockets: metrics.doorSockets },
    });
    endings.push(() => door.askedHistory.close());
    return {
      ...accessParts,
      ...limitingParts(database, settings, { admissions, log, waiting: metrics.doorRequestsWaiting }),
      ...{ jobs, ...accepting },
      ownJobs: (principal) => jobs.of(principal.tenant.id),
      ...viewingParts(settings, { database, servers, tickets }),
      ...{ feed, livePreviews, storage, ...sharingParts(settings, storage, times, log) },
      ...{ uploads, templates, keys, jobMarks, audit, webhooks, signals },
      newWebhooks: sending.newWebhooks,
      newServers: new NewServers(settings),
      ...operatorParts(database, settings, { servers, tickets }),
      ...{ door, board, metrics, pages, keeping: settings.keeping },
      probes: probesOf(database, tickets, servers),
      ...{ log, version, startedAt: Date.now(), leaving, stopping, watchTimes: times.watch },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function viewingParts(
  settings: ServiceConfiguration,
  parts: { database: Database; servers: KnownServers; tickets: BullTicketQueue },
): Pick<ApiDependencies, "jobDetails" | "comfyJobs" | "assets" | "idempotency"> {
  const { jobReader: jobs, assets, idempotency } = parts.database;
  const jobDetails = createJobDetails(parts, settings);
  const { keeping } = settings;
  return { jobDetails, comfyJobs: new ComfyJobs({ jobs, jobDetails, keeping }), assets, idempotency };
}

function feedOf({ eventReader, eventSequencer }: Database, signals: Signals, log: Logger): EventFeed {
  const onError = (error: unknown): void => {
    log.warn({ err: error }, "The feed cannot read events by position now and tries again.");
  };
  return new EventFeed({ signals, reader: eventReader, sequencer: eventSequencer, onError });
}

function operatorParts(
  database: Database,
  { lanePatienceMs: patienceMs }: ServiceConfiguration,
  parts: { servers: KnownServers; tickets: BullTicketQueue },
): Pick<ApiDependencies, "lanePauses" | "operatorQueue" | "runDurations" | "serverUpkeep"> {
  const { jobReader: jobs, lanes, laneServing: serving, lanePauses, runDurations, serverUpkeep } = database;
  const operatorQueue = new OperatorQueue({ jobs, lanes, serving, patienceMs, ...parts });
  return { lanePauses, runDurations, operatorQueue, serverUpkeep };
}

function openApiDatabase({ databaseUrl, tenantLimits: limits, lanesMax }: ServiceConfiguration): Database {
  return openDatabase({ databaseUrl, limits, lanesMax, applicationName: "genga-api" });
}

/** Small submissions are accepted by this thread, and large ones by another. */
function acceptingParts(
  settings: ServiceConfiguration,
  parts: Omit<Parameters<typeof createAcceptingParts>[1], "onNotChecked">,
  { metrics, tracing, serversMaxAgeMs }: { metrics: Metrics; tracing: Tracing; serversMaxAgeMs: number },
): Pick<ApiDependencies, "servers" | "models" | "jobCommands" | "templateJudge" | "submissions"> & {
  end: () => Promise<void>;
} {
  const { logger: log, defaultTenantId } = parts;
  const { jobReader: jobs, idempotency } = parts.database;
  const unchecked = new UncheckedInputs({ counter: metrics.inputsNotChecked, log });
  const onNotChecked = (notes: readonly NotChecked[], count?: number): void => {
    unchecked.note(notes, count);
  };
  const { servers, manager, jobCommands, templateJudge, prompts } = createAcceptingParts(
    settings,
    { ...parts, onNotChecked },
    { name: `api-${hostname()}-${process.pid}`, serversMaxAgeMs },
  );
  const thread = new SubmissionThread({
    ...{ settings, defaultTenantId, serversMaxAgeMs, log, onNotChecked },
    onEnded: () => {
      metrics.submissionThreadEnds.inc();
    },
  });
  const onAccepted = (type: JobType, count: number): void => {
    metrics.jobsAccepted.inc({ type }, count);
  };
  const submissions = new Submissions({
    jobs,
    idempotency,
    jobCommands,
    prompts,
    thread,
    onAccepted,
    tracing,
  });
  const end = async (): Promise<void> => {
    await Promise.all([thread.close(), manager.announced()]);
  };
  return { servers, models: new KnownModels(servers), jobCommands, templateJudge, submissions, end };
}

function limitingParts(
  { tenantLimits }: Database,
  settings: ServiceConfiguration,
  { log, ...given }: Pick<TenantAdmissionParts, "admissions" | "waiting"> & { log: Logger },
): Pick<ApiDependencies, "admission" | "limits" | "tenantLimits"> {
  const limits = new KnownLimits({ store: tenantLimits, defaults: settings.tenantLimits, log });
  const bodies = new BodyMemory({ bytesMax: settings.bodyBytesAtOnce });
  return { admission: new TenantAdmission({ ...given, limits, bodies }), limits, tenantLimits };
}

/** Figures that are queried at each scrape. */
function metricsOf(database: Database, tickets: BullTicketQueue, farm: () => Promise<ShownFarm>): Metrics {
  return createMetrics({
    services: { database: () => database.ping(), redis: () => tickets.ping() },
    summarizeQueue: () => database.jobReader.summarizeQueue(),
    estimateError: () => database.runDurations.readEstimateError(),
    countDeliveries: () => database.webhookQueue.countPending(),
    farm,
  });
}
