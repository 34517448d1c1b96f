import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { fullPath } from "../src/http/paths.ts";
import { problemDocumentSchema, type ProblemCode } from "../src/http/problem-document.ts";
import { type Route } from "../src/routing/route.ts";
import { routes } from "../src/routes/table.ts";
import { bodyExamples } from "../src/schemas/examples.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { mp4That } from "./mp4-that.ts";

// Every operation is asked for what it must refuse. The document names exactly the codes that come back, and those
// below, whose circumstances other tests make.
const otherCircumstances: readonly ProblemCode[] = [
  ...(["bad-request", "key-missing", "key-unknown", "role-too-low", "too-many-wrong-keys"] as const),
  ...(["session-ended", "origin-not-allowed"] as const),
  ...(["limit-reached", "too-many-bodies", "too-many-streams"] as const),
  ...(["request-under-way", "idempotency-key-reused"] as const),
  ...(["store-unavailable", "storage-unavailable", "submission-interrupted"] as const),
  ...(["extra-data-needed", "denied-node-class", "server-in-use", "range-not-satisfiable"] as const),
  ...(["too-many-outputs", "link-expired", "too-many-thumbnails", "no-thumbnail"] as const),
];
/** Some for one operation; of the first two another request has to be faster. */
const rare: Partial<Record<string, readonly ProblemCode[]>> = {
  retryJob: ["job-removed"],
  removeJob: ["illegal-transition"],
  // Where there is an output, or a valid link.
  linkToOutput: ["secrets-key-missing"],
  getSharedOutput: ["output-not-found"],
  // Where the file of an output was changed by somebody else.
  getJobThumbnail: ["output-not-found"],
  getSharedZip: ["batch-not-found", "batch-removed"],
  // Where a job that it reads of was removed, or the definitions of servers have changed, since the first job.
  rerunJob: ["unknown-job", "unknown-node-class", "forbidden-file"],
  // Of its jobs, whose reruns have the same reasons; those that follow from changes come with no body.
  rerunBatch: [
    ...(["job-removed", "unknown-job", "unknown-node-class", "forbidden-file", "missing-field"] as const),
    ...(["out-of-bounds", "unknown-model", "unknown-label", "unknown-upload"] as const),
    ...(["dependency-ended", "invalid-graph", "secrets-key-missing"] as const),
  ],
  // Where no server has the nodes of any graph that could be made.
  submitImage: ["unknown-node-class", "job-removed"],
  submitVideo: ["unknown-node-class", "job-removed"],
  // Where a request with an Idempotency-Key is repeated.
  submitJob: ["job-removed"],
  submitBatch: ["job-removed"],
  // Where a tenant has a thousand of them.
  addTemplate: ["too-many-templates"],
  replaceTemplate: ["too-many-templates"],
  // Where jobs were submitted with a key that is not set any more.
  retryBatch: ["secrets-key-missing"],
  // Where credentials come without a SECRETS_KEY, or ADDED_SERVERS_MAX servers were added.
  addServer: ["secrets-key-missing", "too-many-servers"],
  // Where webhooks were stored under a key that is not set any more, or are more than a tenant may have, or disabled.
  addWebhook: ["too-many-webhooks"],
  rotateWebhook: ["secrets-key-missing"],
  testWebhook: ["webhook-disabled"],
  redeliver: ["webhook-disabled"],
};

const keys = {
  open: "key-that-operates",
  read: "key-that-reads",
  submit: "key-that-submits",
  operate: "key-that-operates",
};
const unknownId = "0190b8a0-0000-7000-8000-00000000dead";
let api: ApiUnderTest;
let serverId: string;
let documented: Record<string, Set<string>>;

beforeAll(async () => {
  const roles = (["read", "submit", "operate"] as const).map((role) => `studio:${role}:${keys[role]}`);
  api = await startApiUnderTest({ env: { API_KEYS: roles.join() } });
  serverId = await api.worker.registerServer(
    "http://comfyui.test:8188",
    await recordedDefinitions("core", "animatediff"),
  );
  documented = await documentedCodes();
});
afterAll(() => api.stop());

/** Codes by operation, as a reader of the document finds them: each has a line of its own under its status. */
async function documentedCodes(): Promise<Record<string, Set<string>>> {
  const { paths } = (await (await api.request("/openapi.json")).json()) as {
    paths: Record<
      string,
      Record<string, { operationId: string; responses: Record<string, { description: string }> }>
    >;
  };
  return Object.fromEntries(
    Object.values(paths)
      .flatMap((methods) => Object.values(methods))
      .map(({ operationId, responses }) => [
        operationId,
        new Set(
          Object.values(responses).flatMap(({ description }) =>
            [...description.matchAll(/^`([a-z-]+)`: /gm)].map(([, code]) => code!),
          ),
        ),
      ]),
  );
}

const headersOf = ({ access }: Route): Record<string, string> => ({ "x-api-key": keys[access] });

interface Probe {
  /** In place of `:id` or `:name`. */
  id?: string;
  query?: string;
  body?: string | Uint8Array<ArrayBuffer>;
  type?: string;
}

/** @returns the code of the refusal; undefined when the request was not refused */
async function codeOf(
  operation: Route,
  { id = unknownId, query = "", body, type }: Probe,
): Promise<string | undefined> {
  const path = fullPath(operation.path).replace(/:(id|name)/, id);
  const leaving = new AbortController();
  const response = await api.request(`${path}${query}`, {
    method: operation.method,
    headers: { ...headersOf(operation), ...(type !== undefined && { "content-type": type }) },
    ...(body !== undefined && { body }),
    signal: leaving.signal,
  });
  if (response.status < 400) {
    leaving.abort();
    return undefined;
  }
  return problemDocumentSchema.parse(await response.json()).code;
}

const json = (value: unknown): Probe => ({ body: JSON.stringify(value), type: "application/json" });
const tooMuch = new Uint8Array(21 * 1024 * 1024);

/** Bodies that are no JSON, or not the object that is wanted. */
const wrongBodies: readonly Probe[] = [
  { body: "{", type: "application/json" },
  { body: `{"a":1,"a":2}`, type: "application/json" },
  { body: "a=1", type: "text/plain" },
  { body: tooMuch, type: "application/json" },
  json({}),
  json([]),
  json({ nonsense: 1, nonsenseToo: 1 }),
];

/** The example with one thing wrong at a time: a field more, one less, one of another kind, one beyond all bounds. */
function variationsOf(example: object): object[] {
  const fields = Object.keys(example);
  return [
    { ...example, nonsense: 1 },
    ...fields.map((field) => ({ ...example, [field]: undefined })),
    ...fields.flatMap((field) => [[{}], -1, "", 1e12].map((value) => ({ ...example, [field]: value }))),
    Object.fromEntries([...fields.map((field) => [field, [{}]]), ["nonsense", 1]]) as object,
  ];
}

const picture = { type: "image", prompt: "a cat" };
const nodes = (inputs: object, classType = "LoadImage"): object => ({
  "1": { class_type: classType, inputs },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
});
const asWorkflow = (workflow: object): object => ({ type: "workflow", workflow });
const blank = asWorkflow(nodes({ width: 64, height: 64, batch_size: 1, color: 0 }, "EmptyImage"));
const asVideo = (job: object): object => ("prompt" in job ? { ...job, type: "video" } : job);
const wrongJobs: readonly object[] = [
  { ...picture, type: "poem" },
  { ...picture, model: "nobody-has-it.safetensors" },
  { ...picture, initImage: unknownId },
  { ...picture, requires: ["nobody-has:it"] },
  { ...picture, type: "video" },
  { ...picture, dependsOn: ["nobody"] },
  { ...picture, webhook: { url: "https://studio.example/", secret: `whsec_${"AAAA".repeat(8)}` } },
  { ...picture, key: "a", dependsOn: ["a"] },
  { ...picture, type: "image", model: "a", initImage: unknownId },
  { ...nodes({}) },
  { ...picture, workflow: nodes({}) },
  { ...picture, nodes: [], links: [], last_node_id: 1, version: 0.4 },
  { nodes: [], links: [], last_node_id: 1, version: 0.4 },
  asWorkflow({ nodes: [], links: [], last_node_id: 1, version: 0.4 }),
  { template: "nobody" },
  asWorkflow(nodes({ image: "../secret.png" })),
  asWorkflow(nodes({ image: `genga/${"0".repeat(64)}.png` })),
  asWorkflow(nodes({}, "NobodyHasThisNode")),
  asWorkflow(nodes({ width: 64, height: 64, batch_size: 1 }, "EmptyImage")),
  asWorkflow(nodes({ width: -5, height: 64, batch_size: 1, color: 0 }, "EmptyImage")),
  asWorkflow(nodes({ ckpt_name: "nobody-has-it.safetensors" }, "CheckpointLoaderSimple")),
  {
    ...blank,
    extraData: { api_key_comfy_org: "x" },
  },
];

/** In place of a template's. */
const wrongGraphs: readonly object[] = [
  { nodes: [], links: [], last_node_id: 1, version: 0.4 },
  { "1": { class_type: "EmptyImage" } },
  nodes({ image: "../secret.png", width: 64, color: 0 }),
  nodes({ image: `genga/${"0".repeat(64)}.png`, width: 64, color: 0 }),
  nodes({ height: 64 }),
];

const bodyNames: Partial<Record<string, keyof typeof bodyExamples>> = {
  submitJob: "NewJob",
  submitImage: "ImageJob",
  submitVideo: "VideoJob",
  submitBatch: "NewBatch",
  retryJob: "RetryBody",
  retryBatch: "RetryBody",
  rerunJob: "RerunBody",
  rerunBatch: "BatchRerun",
  linkToOutput: "NewLink",
  linkToBatchZip: "NewZipLink",
  changeJobPriority: "NewPriority",
  markJob: "NewMark",
  markJobs: "NewMarks",
  changeBatchPriority: "NewPriority",
  setTenantLimits: "TenantLimitChoices",
  addTemplate: "NewTemplate",
  replaceTemplate: "TemplateVersion",
  suggestTemplate: "Graph",
  signIn: "SignIn",
  addServer: "NewServer",
  addKey: "NewKey",
  rotateKey: "KeyRotation",
  addWebhook: "NewWebhook",
  changeWebhook: "WebhookChange",
  rotateWebhook: "WebhookRotation",
};

/** What an operation must refuse, by what it is about and what may be sent to it. */
async function probesOf({ id, path, query, body }: Route): Promise<Probe[]> {
  const probes: Probe[] = [{}];
  if (/^jobs?\/:id/.test(path)) {
    for (const make of [waitingJob, runningJob, endedJob, removedJob]) probes.push({ id: await make() });
  }
  if (path.startsWith("batches/:id")) {
    for (const make of [waitingBatch, endedBatch, removedBatch]) probes.push({ id: await make() });
  }
  if (path.startsWith("servers/:id")) probes.push({ id: serverId });
  if (path.startsWith("templates/:name"))
    for (const name of ["image", await archivedTemplate()]) probes.push({ id: name });
  if (query !== undefined) {
    const texts = [
      ...["nonsense=1", "after=x", "limit=0", "cursor=-", "limit=0&nonsense=1"],
      ...["hours=0", "hours=x", "hours=0&nonsense=1"],
      ...[
        "status=x",
        "project=",
        `project=${"x".repeat(101)}`,
        "wait=soon",
        ...[
          "token=x",
          "token=x&token=y",
          "size=7",
          "size=7&nonsense=1",
          "token=x&nonsense=1",
          `token=${"x".repeat(201)}`,
        ],
        "previews=x",
        "kind=x",
        "archived=x",
        "batch=x",
        `batch=${unknownId}`,
        "status=x&nonsense=1",
      ],
    ];
    if ("batch" in query.shape) texts.push(`batch=${await removedBatch()}`);
    for (const text of texts) probes.push({ query: `?${text}` });
  }
  if (id === "uploadImage") {
    for (const bytes of ["no image", "", new Uint8Array(Buffer.concat([Buffer.from("GIF89a"), tooMuch]))])
      probes.push({ body: bytes, type: "image/png" });
    probes.push({ body: new Uint8Array(mp4That({ samples: 100_000 })), type: "video/mp4" });
    probes.push({ body: "--x", type: "multipart/form-data; boundary=y" });
    probes.push({ body: "{}", type: "application/json" });
  }
  const name = bodyNames[id];
  expect([id, name !== undefined]).toEqual([id, body?.content["application/json"] !== undefined]);
  if (name === undefined) return probes;
  const about = await subjectOf(id);
  const example = bodyExamples[name] as object;
  // The second time there is a key of its name.
  const variations = [example, example, ...variationsOf(example)].map(json);
  const jobs = wrongJobs
    .map((job) => (id === "submitVideo" ? asVideo(job) : job))
    .map((job) => json(name === "NewBatch" ? { jobs: [job] } : job));
  const bodies = [...variations, ...wrongBodies, ...(id.startsWith("submit") ? jobs : [])];
  if (name === "RetryBody" || name === "RerunBody") {
    for (const extraData of [{ key: "x".repeat(10_000) }, { client_id: "x", preview_method: 7 }]) {
      bodies.push(json({ extraData }));
    }
  }
  // A body that is missing would be refused before the job or batch.
  if (name === "NewPriority" || name === "NewMark")
    probes.push(...probes.map((probe) => ({ ...probe, ...json(example) })));
  if (id === "setTenantLimits") probes.push(json(example));
  if (id.endsWith("Template") && id !== "suggestTemplate") {
    for (const graph of wrongGraphs) bodies.push(json({ ...example, workflow: graph }));
    const nothingFits = { type: "integer", min: 2, max: 1, targets: [{ node: "1", input: "width" }] };
    bodies.push(json({ ...example, parameters: { width: nothingFits } }));
    probes.push(...["image", await archivedTemplate()].map((name) => ({ id: name, ...json(example) })));
    probes.push(json(example));
  }
  if (id === "suggestTemplate") for (const graph of wrongGraphs) bodies.push(json({ workflow: graph }));
  if (id === "markJobs") bodies.push(json({ jobs: Array<string>(1_001).fill(unknownId), mark: "pick" }));
  if (id === "retryJob") probes.push({ id: await jobAfterCancelled() });
  if (id === "rerunJob") probes.push(...(await probesOfRerun()));
  if (id.startsWith("submit")) {
    const dependsOn = [await cancelledJob(blank)];
    probes.push(json(name === "NewBatch" ? { jobs: [{ ...blank, dependsOn }] } : { ...example, dependsOn }));
    const filmed = { ...picture, ...(id === "submitVideo" && { type: "video" }), initImage: await film() };
    probes.push(json(name === "NewBatch" ? { jobs: [filmed] } : filmed));
  }
  if (id === "submitBatch") probes.push(json({ jobs: [blank, blank].map((job) => ({ ...job, key: "a" })) }));
  return [...probes, ...bodies.map((probe) => ({ ...probe, ...(about !== undefined && { id: about }) }))];
}

/** What bodies are sent about, where they are about something; the nobody of the other probes is asked for without one. */
async function subjectOf(operationId: string): Promise<string | undefined> {
  switch (operationId) {
    case "setTenantLimits":
      return "studio";
    case "replaceTemplate":
      return storedTemplate("replaced");
    case "changeJobPriority":
    case "markJob":
      return waitingJob();
    case "changeBatchPriority":
      return waitingBatch();
    case "retryJob":
    case "rerunJob":
      return cancelledJob(blank);
    case "retryBatch":
    case "rerunBatch":
      return submitted("batches", { jobs: [blank] });
    default:
      return undefined;
  }
}

/** Changes that a submission would be refused for, too. */
async function probesOfRerun(): Promise<Probe[]> {
  const about = async (job: object, ...bodies: object[]): Promise<Probe[]> => {
    const id = await submitted("generate", job);
    return bodies.map((body) => ({ id, ...json(body) }));
  };
  const changes = [
    { model: "nobody-has-it.safetensors" },
    { initImage: unknownId },
    { prompt: null },
    { width: 7 },
  ];
  return [
    { id: await jobAfterCancelled(), ...json({}) },
    ...(await about(picture, { requires: ["nobody-has:it"] }, ...changes.map((each) => ({ changes: each })))),
    ...(await about(blank, { changes: { "1": { width: -5 } } }, { extraData: { api_key_comfy_org: "x" } })),
  ];
}

async function storedTemplate(name: string): Promise<string> {
  const template = { name, ...(bodyExamples.TemplateVersion as object) };
  await api.post("templates", template, { "x-api-key": keys.submit });
  return name;
}
async function archivedTemplate(): Promise<string> {
  const name = await storedTemplate("archived");
  await api.request(`templates/${name}`, { method: "DELETE", headers: { "x-api-key": keys.submit } });
  return name;
}

/** A job that failed because the one that it depends on was cancelled. */
async function jobAfterCancelled(): Promise<string> {
  const needed = await submitted("generate", blank);
  const id = await submitted("generate", { ...blank, dependsOn: [needed] });
  await api.post(`jobs/${needed}/cancel`, {}, { "x-api-key": keys.submit });
  return id;
}

/** The id of a film, which no picture begins with. */
async function film(): Promise<string> {
  const headers = { "x-api-key": keys.submit, "content-type": "video/mp4" };
  const response = await api.request("uploads", { method: "POST", headers, body: mp4That() });
  return ((await response.json()) as { id: string }).id;
}

async function submitted(path: string, body: object): Promise<string> {
  const response = await api.post(path, body, { "x-api-key": keys.submit });
  return ((await response.json()) as { id: string }).id;
}
const waitingJob = (): Promise<string> => submitted("generate", picture);
const waitingBatch = (): Promise<string> => submitted("batches", { jobs: [picture] });
async function endedBatch(): Promise<string> {
  const id = await waitingBatch();
  await api.request(`batches/${id}/cancel`, { method: "POST", headers: { "x-api-key": keys.submit } });
  return id;
}
async function removedBatch(): Promise<string> {
  const id = await endedBatch();
  await api.request(`batches/${id}`, { method: "DELETE", headers: { "x-api-key": keys.submit } });
  return id;
}
async function runningJob(): Promise<string> {
  const id = await waitingJob();
  await api.worker.claim(id, serverId);
  return id;
}
async function endedJob(): Promise<string> {
  const id = await waitingJob();
  await api.worker.complete(await api.worker.claim(id, serverId), []);
  return id;
}
async function cancelledJob(job: object = picture): Promise<string> {
  const id = await submitted("generate", job);
  await api.request(`jobs/${id}/cancel`, { method: "POST", headers: { "x-api-key": keys.submit } });
  return id;
}
async function removedJob(): Promise<string> {
  const id = await cancelledJob();
  await api.request(`jobs/${id}`, { method: "DELETE", headers: { "x-api-key": keys.submit } });
  return id;
}

describe("the codes in the document", () => {
  test.each(routes.map((operation) => [operation.id, operation] as const))(
    "are those that %s gives",
    async (id, operation) => {
      const given = new Set<string>();
      for (const probe of await probesOf(operation)) {
        const code = await codeOf(operation, probe);
        if (code !== undefined) given.add(code);
      }
      if (id === "listJobs") given.add((await codeOfSlowSearch(operation)) ?? "");
      const elsewhere: readonly string[] = [...otherCircumstances, ...(rare[id] ?? [])];
      const named = documented[id]!;
      expect({ id, undocumented: [...given].filter((code) => !named.has(code)) }).toEqual({
        id,
        undocumented: [],
      });
      const neverGiven = [...named].filter((code) => !given.has(code) && !elsewhere.includes(code));
      expect({ id, neverGiven }).toEqual({ id, neverGiven: [] });
    },
    180_000,
  );
});

/** Nothing is found while the table of the texts is locked. */
async function codeOfSlowSearch(operation: Route): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    await client.query("BEGIN");
    await client.query("LOCK TABLE job_parameters IN ACCESS EXCLUSIVE MODE");
    return await codeOf(operation, { query: "?text=cherry" });
  } finally {
    await client.end();
  }
}
