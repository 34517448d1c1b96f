import { type AnswerName, type BodyName } from "./named-schemas.ts";

const base = "https://genga.example/api/anime";
const jobId = "01a213f0-8c1e-7c42-9a44-6f1f0a5f7d21";
const batchId = "01a213f0-9d55-7f0b-8b6e-3c1a5a9d0c77";
const outputId = "01a213f1-03aa-7b11-8f8e-0d8d4f1d9e10";
const uploadId = "01a213ee-5b20-7d3c-a5f2-77b0c2f1c4aa";
const sessionId = "01a213f2-9b1c-7e21-8c44-1f6c90aa1b35";
const keyId = "01a213f2-77aa-7d05-8f10-2f6c90aa1b34";
const webhookId = "01a213f2-9c11-7f3e-8b55-6a7d0c2e9f10";
const deliveryId = "01a213f3-1f0b-4c7a-9d1e-58b0e7c3a2d4";
const serverId = "01a213ed-11aa-7e3c-8ab2-5d0b9fd0e6c3";
const prompt = "a lighthouse above a sea of clouds, sunset";
const negativePrompt = "worst quality, low quality, blurry";
const moment = "2026-11-25T18:30:12.345Z";

const workflow = {
  "1": { class_type: "EmptyImage", inputs: { width: 512, height: 512, batch_size: 1, color: 4678655 } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "blue" } },
};
const image = { prompt, model: "counterfeit_v3.safetensors", width: 768, height: 512, steps: 24 };
const video = { prompt: "a train crossing a shallow sea at dusk", durationSeconds: 2, fps: 8 };

const template = {
  description: "A plain picture in one colour.",
  workflow,
  parameters: {
    width: { type: "integer", min: 64, max: 2048, default: 512, targets: [{ node: "1", input: "width" }] },
    color: {
      type: "integer",
      label: "Colour",
      min: 0,
      max: 16_777_215,
      targets: [{ node: "1", input: "color" }],
    },
  },
};

/** For each kind of body, an example that is accepted. */
export const bodyExamples: Record<BodyName, unknown> = {
  ImageJob: { ...image, priority: "high", project: "opening", scene: "harbour", shot: "cut-1" },
  VideoJob: video,
  WorkflowJob: { type: "workflow", workflow },
  NewJob: { type: "image", ...image },
  NewBatch: {
    name: "clouds",
    project: "opening",
    priority: "low",
    jobs: [
      { type: "image", prompt: "cumulus" },
      { type: "video", ...video },
    ],
  },
  TemplateJob: { template: "lighthouse", values: { color: 4_678_655 }, project: "opening" },
  NewTemplate: { name: "lighthouse", ...template },
  TemplateVersion: template,
  Graph: { workflow },
  NewMark: { mark: "pick" },
  NewMarks: { jobs: [jobId], mark: "reject" },
  NewPriority: { priority: "high" },
  RerunBody: { changes: { seed: null, steps: 30 }, priority: "high" },
  BatchRerun: { mark: "reject", newSeeds: true, name: "rain again" },
  NewLink: { expiresIn: "12h" },
  NewZipLink: { expiresIn: "3d", names: "{scene}/{shot}-{seed}.{ext}" },
  RetryBody: { extraData: { api_key_comfy_org: "comfyui-…" } },
  SignIn: { apiKey: "genga_…" },
  NewServer: { url: "https://gpu-3.example/comfy", slots: 2, labels: ["gpu:24gb"], credential: "gateway" },
  NewKey: { name: "render-farm-ci", tenant: "studio", role: "submit" },
  KeyRotation: { overlapMinutes: 1_440 },
  NewWebhook: { url: "https://studio.example/genga", events: ["job.completed", "job.failed", "batch.ended"] },
  WebhookChange: { url: "https://studio.example/genga", enabled: true },
  WebhookRotation: { overlapMinutes: 60 },
  TenantLimitChoices: {
    ...{ jobsQueuedMax: 5_000, jobsRunningMax: 4, requestsPerMinute: null },
    ...{ requestsAtOnce: null, streamsMax: 50, weight: 2 },
  },
};

const links = {
  self: `${base}/jobs/${jobId}`,
  events: `${base}/jobs/${jobId}/events`,
  outputs: `${base}/jobs/${jobId}/outputs`,
  attempts: `${base}/jobs/${jobId}/attempts`,
  parameters: `${base}/jobs/${jobId}/parameters`,
  workflow: `${base}/jobs/${jobId}/workflow`,
};
const accepted = { id: jobId, status: "queued", prompt, negativePrompt, links };
const progress = {
  percent: 100,
  node: null,
  nodeTitle: null,
  step: 24,
  steps: 24,
  nodesDone: 7,
  nodesTotal: 7,
  remainingLowMs: null,
  remainingHighMs: null,
};
const job = {
  ...{ id: jobId, type: "image", status: "completed", prompt, negativePrompt, phase: null, progress },
  ...{ model: "counterfeit_v3.safetensors", template: null },
  ...{
    priority: "normal",
    project: null,
    scene: null,
    shot: null,
    tags: [],
    requires: [],
    batchId: null,
    batchIndex: null,
    key: null,
    attempt: 1,
  },
  ...{
    attemptsMax: 1,
    timeoutMs: 600_000,
    runAt: null,
    pausedAt: null,
    expiresAt: null,
    server: null,
    failure: null,
    warnings: [],
  },
  ...{
    reusedFrom: null,
    cancelRequestedAt: null,
    cancelTooLate: false,
    rerunOf: null,
    mark: null,
    traceId: null,
    createdAt: moment,
    startedAt: moment,
  },
  ...{ finishedAt: moment, sequence: 6, links },
};
const output = {
  ...{ id: outputId, jobId, attempt: 1, index: 0, nodeId: "9", key: "images", kind: "file" },
  ...{ filename: "genga_00001_.png", mediaType: "image/png", bytes: 482_113 },
  sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  ...{ width: 768, height: 512, durationMs: null, text: null, createdAt: moment },
  links: {
    content: `${base}/outputs/${outputId}`,
    sign: `${base}/outputs/${outputId}/links`,
    thumbnail: `${base}/outputs/${outputId}/thumbnail`,
    job: `${base}/jobs/${jobId}`,
  },
};
const webhook = {
  ...{ id: webhookId, scope: "tenant", url: "https://studio.example/genga" },
  ...{ events: ["job.completed", "job.failed", "batch.ended"], enabled: true, disabledReason: null },
  ...{ disabledAt: null, failingSince: null, previousSecretValidUntil: null, createdAt: moment },
  links: { self: `${base}/webhooks/${webhookId}`, deliveries: `${base}/webhooks/${webhookId}/deliveries` },
};
const delivery = {
  ...{ id: deliveryId, webhookId, messageId: `msg_${jobId.replaceAll("-", "")}_6`, type: "job.completed" },
  ...{ occurredAt: moment, status: "delivered", attempts: 1, nextAttemptAt: null, attemptedAt: moment },
  ...{ lastStatus: 200, lastError: null, endedAt: moment },
  links: { self: `${base}/webhook-deliveries/${deliveryId}`, webhook: `${base}/webhooks/${webhookId}` },
};
const counts = { queued: 1, processing: 1, completed: 8, failed: 0, timeout: 0, cancelled: 0 };
const batchLinks = { self: `${base}/batches/${batchId}`, jobs: `${base}/jobs?batch=${batchId}` };

const batch = {
  id: batchId,
  name: "clouds",
  ...{ project: "opening", scene: null, shot: null, tags: [] },
  createdAt: moment,
  total: 10,
  pausedAt: null,
  counts,
  percent: 81.5,
  done: false,
  links: batchLinks,
};

const endsAt = {
  ...{
    low: "2026-01-01T12:04:10.000Z",
    expected: "2026-01-01T12:05:00.000Z",
    high: "2026-01-01T12:06:30.000Z",
  },
};
const eta = { eta: { startsAt: null, endsAt }, etaReason: null };
const noEta = { eta: null, etaReason: { code: "ended", message: "It has ended." } };

const templateView = {
  ...{ name: "lighthouse", version: 2, latestVersion: 2, isBuiltIn: false },
  ...{ description: template.description, createdAt: moment, createdBy: "render-farm-ci", archivedAt: null },
  links: {
    self: `${base}/templates/lighthouse`,
    version: `${base}/templates/lighthouse/versions/2`,
    jobs: `${base}/jobs?template=lighthouse`,
  },
};
const templateDetail = {
  ...templateView,
  workflow,
  parameters: {
    width: { ...template.parameters.width, isRequired: false },
    color: { ...template.parameters.color, isRequired: true },
  },
};

/** Examples of answers; a test validates them against their schemas. */
export const answerExamples: Partial<Record<AnswerName, unknown>> = {
  AcceptedJob: accepted,
  AcceptedBatch: {
    ...{ id: batchId, name: "clouds", total: 1, jobs: [accepted], links: batchLinks },
    ...{ warnings: [], notChecked: [] },
  },
  CheckedBatch: {
    ...{ dryRun: true, total: 8, warnings: [], notChecked: [] },
    jobs: [
      {
        ...{ index: 0, type: "image", prompt, negativePrompt, priority: "normal" },
        ...{ project: "opening", scene: null, shot: null, tags: [], values: { steps: 20, seed: 1 } },
      },
    ],
  },
  Batch: batch,
  BatchDetail: { ...batch, firstErrors: [], ...eta },
  BatchPage: { batches: [batch], nextCursor: null },
  JobDetail: { ...job, dependsOn: [], waitingFor: null, ...noEta, outputs: [output] },
  JobPage: { jobs: [job], nextCursor: null },
  Chain: {
    jobs: [{ id: jobId, key: null, type: "image", status: "completed", batchId: null, needs: [] }],
    isWhole: true,
  },
  JobHistory: {
    ...{ id: jobId, status: "completed", nextAfter: null },
    events: [{ jobId, sequence: 1, type: "accepted", attempt: 0, data: {}, createdAt: moment }],
  },
  JobMark: { id: jobId, mark: "pick" },
  JobMarks: { mark: "reject", marked: [jobId], unknown: [] },
  Outputs: { id: jobId, status: "completed", outputs: [output] },
  Parameters: { id: jobId, type: "image", parameters: { ...image, negativePrompt, seed: 7 }, template: null },
  Workflow: workflow,
  SignedLink: { url: `${base}/outputs/${outputId}/shared?token=…`, expiresAt: moment, leadsTo: "api" },
  Upload: {
    ...{ id: uploadId, name: "genga/3a7b0c.png", sha256: "3a7b0c", mediaType: "image/png", bytes: 90_112 },
    ...{
      width: 768,
      height: 512,
      frames: 1,
      durationMs: null,
      createdAt: moment,
      links: { self: `${base}/uploads/${uploadId}` },
    },
  },
  TemplatePage: { templates: [templateView], nextCursor: null },
  TemplateDetail: templateDetail,
  StoredTemplate: { ...templateDetail, warnings: [], notChecked: [] },
  SuggestedTemplate: {
    parameters: { width: { type: "integer", default: 512, targets: [{ node: "1", input: "width" }] } },
    ...{ basis: "definitions", unknownClasses: [], warnings: [] },
  },
  Models: {
    models: [
      {
        ...{ kind: "checkpoints", name: "counterfeit_v3.safetensors", serversCount: 1 },
        servers: [{ id: serverId, name: "server-9fd0e6c3" }],
      },
    ],
    ...{ kinds: [{ kind: "checkpoints", count: 1 }], serversKnown: 1, nextCursor: null },
  },
  Webhook: webhook,
  Webhooks: { webhooks: [webhook] },
  ToldWebhook: { ...webhook, secret: "whsec_…" },
  WebhookDelivery: delivery,
  WebhookDeliveries: { deliveries: [delivery], nextCursor: null },
  ServerRecycle: { id: serverId, recycling: true },
  ServerAction: { id: serverId, draining: true },
  Session: {
    ...{ id: sessionId, tenant: "studio", role: "submit", keyName: "render-farm-ci" },
    ...{ createdAt: moment, expiresAt: moment, needsKey: true },
  },
  ToldKey: {
    ...{ id: keyId, name: "render-farm-ci", tenant: "studio", role: "submit" },
    ...{ createdAt: moment, lastUsedAt: null, revokedAt: null, previousValidUntil: null },
    key: "genga_…",
  },
};

/** An example of a refusal. */
export const problemExample = {
  type: "urn:genga:problem:out-of-bounds",
  title: "A field is out of bounds",
  status: 422,
  detail: "width is 100; it must be from 256 to 2048.",
  instance: "/api/anime/generate#6f0f1d2e",
  code: "out-of-bounds",
  problems: [
    {
      path: "width",
      code: "out-of-bounds",
      message: "width is 100; it must be from 256 to 2048.",
      received: 100,
      accepted: { min: 256, max: 2048 },
    },
  ],
};
