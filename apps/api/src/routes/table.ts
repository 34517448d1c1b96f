import { type Route } from "../routing/route.ts";
import { listAuditEvents } from "./audit-events.ts";
import {
  cancelBatch,
  changeBatchPriority,
  getBatch,
  listBatches,
  pauseBatch,
  removeBatch,
  rerunBatch,
  resumeBatch,
  retryBatch,
  submitBatch,
} from "./batches.ts";
import { getBoard } from "./board.ts";
import { getBatchChain, getJobChain } from "./chains.ts";
import { getDescription, getDocumentation, getDocumentationScript, getLandingPage } from "./documentation.ts";
import { watchBatch, watchJobs } from "./event-streams.ts";
import { pauseFarm, resumeFarm } from "./farm.ts";
import { rerunJob, submitImage, submitJob, submitVideo } from "./generate.ts";
import { getHealth, getLiveness, getReadiness, getReadinessAtRoot } from "./health.ts";
import { watchJob } from "./job-events.ts";
import { listJobEvents } from "./job-history.ts";
import { markJob, markJobs } from "./job-marks.ts";
import { getPreview } from "./previews.ts";
import {
  cancelJob,
  changeJobPriority,
  getJob,
  getJobByOldPath,
  getParameters,
  getWorkflow,
  listAttempts,
  listJobs,
  listOutputs,
  pauseJob,
  removeJob,
  resumeJob,
  retryJob,
} from "./jobs.ts";
import { addKey, listKeys, revokeKey, rotateKey } from "./keys.ts";
import { pauseLane, resumeLane } from "./lanes.ts";
import { getMetrics } from "./metrics.ts";
import { listModels } from "./models.ts";
import { getOutput } from "./outputs.ts";
import { getBatchZip, getZip } from "./outputs-zip.ts";
import { getQueue } from "./queue.ts";
import { getRetention } from "./retention.ts";
import { getSharedOutput, getSharedZip, linkToBatchZip, linkToOutput } from "./signed-links.ts";
import { getStatistics } from "./statistics.ts";
import { addServer, drainServer, listServers, recycleServer, removeServer, resumeServer } from "./servers.ts";
import { endSession, getSession, listSessions, signIn, signOut } from "./sessions.ts";
import { getTenantLimits, setTenantLimits } from "./tenant-limits.ts";
import { getJobThumbnail, getThumbnail } from "./thumbnails.ts";
import {
  addTemplate,
  archiveTemplate,
  getTemplate,
  getTemplateVersion,
  listTemplates,
  replaceTemplate,
  suggestTemplate,
} from "./templates.ts";
import { getUpload, uploadImage } from "./uploads.ts";
import {
  addWebhook,
  changeWebhook,
  getDelivery,
  getWebhook,
  listDeliveries,
  listWebhooks,
  redeliver,
  removeWebhook,
  rotateWebhook,
  testWebhook,
} from "./webhooks.ts";
import { listWorkers } from "./workers.ts";

/**
 * All routes of the API, in the order of a job's life. The Express application, the OpenAPI document, the allowed
 * methods of each path and the tests of access all come from this table alone.
 */
export const routes: readonly Route[] = [
  ...[submitJob, submitImage, submitVideo, rerunJob, submitBatch, rerunBatch, uploadImage, getUpload],
  ...[getJob, getJobByOldPath, listJobs, watchJob, listJobEvents, getPreview, getJobThumbnail],
  // The path of suggestions would also be that of a template.
  ...[suggestTemplate, listTemplates, addTemplate],
  ...[getTemplate, replaceTemplate, archiveTemplate, getTemplateVersion],
  ...[listOutputs, listAttempts, getParameters, getWorkflow, getJobChain, getBatchChain],
  ...[getOutput, getBatch, listBatches, watchBatch, watchJobs, getBatchZip, getZip],
  ...[linkToOutput, linkToBatchZip, getSharedOutput, getSharedZip, getThumbnail],
  ...[cancelJob, pauseJob, resumeJob, changeJobPriority, retryJob, removeJob],
  ...[markJob, markJobs],
  ...[cancelBatch, pauseBatch, resumeBatch, changeBatchPriority, retryBatch, removeBatch],
  ...[addWebhook, listWebhooks, getWebhook, changeWebhook, removeWebhook, rotateWebhook, testWebhook],
  ...[listDeliveries, getDelivery, redeliver],
  ...[getSession, signIn, signOut, listSessions, endSession],
  ...[listKeys, addKey, rotateKey, revokeKey, listAuditEvents],
  ...[
    listModels,
    getQueue,
    getStatistics,
    listServers,
    addServer,
    drainServer,
    resumeServer,
    recycleServer,
    removeServer,
    listWorkers,
    pauseFarm,
    resumeFarm,
  ],
  ...[pauseLane, resumeLane],
  ...[getTenantLimits, setTenantLimits],
  ...[getRetention, getHealth, getReadiness, getReadinessAtRoot, getLiveness, getMetrics, getBoard],
  ...[getLandingPage, getDocumentation, getDocumentationScript, getDescription],
];
