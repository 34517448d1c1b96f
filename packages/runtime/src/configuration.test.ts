import { requireOwnDoorPort } from "./own-door-port.ts";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { isLoopback } from "./comfyui-address.ts";
import {
  ConfigurationError,
  configurationVariables,
  readConfiguration,
  requireKeyBeyondLoopback,
  requireServices,
} from "./configuration.ts";
import { nodeClassesDeniedByDefault } from "./node-class-settings.ts";

const messageOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
};

const newKey = "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=";
const oldKey = "0123456789abcdeffedcba98765432100123456789abcdeffedcba9876543210";

describe("the configuration", () => {
  test("has a default for everything", () => {
    expect(readConfiguration({})).toEqual({
      port: 8328,
      host: "127.0.0.1",
      publicUrl: undefined,
      trustedProxies: [],
      corsOrigins: [],
      comfyuiDoorPort: undefined,
      databaseUrl: undefined,
      redisUrl: undefined,
      redisPrefix: "genga",
      comfyuiServers: [],
      takesServersOfApi: true,
      addedServersMax: 1_000,
      ...{ serversDns: [], serversDnsIntervalMs: 10_000 },
      serverName: undefined,
      serverSlots: 2,
      lanePatienceMs: 60_000,
      serverLabels: new Map(),
      dataDir: resolve(".genga"),
      thumbnailCacheBytes: 512_000_000,
      ffmpegPath: undefined,
      storage: { kind: "file", folder: resolve(".genga/outputs") },
      apiKeys: [],
      sessions: { idleMs: 7 * 24 * 3_600_000, lifetimeMs: 30 * 24 * 3_600_000 },
      secretsKeys: [],
      nodeClasses: { denied: nodeClassesDeniedByDefault, allowed: [] },
      tenantLimits: {
        jobsQueuedMax: 200_000,
        jobsRunningMax: null,
        requestsPerMinute: 120_000,
        requestsAtOnce: 500,
        streamsMax: 500,
      },
      lanesMax: 200,
      bodyBytesAtOnce: 256 * 1024 * 1024,
      wrongKeysPerMinute: 10,
      logLevel: "info",
      jobTimeoutsMs: { image: 600_000, video: 3_600_000, workflow: 3_600_000 },
      leaseMs: 12_000,
      serverGraceMs: 60_000,
      recycle: {
        ...{ afterJobs: 0, freeVramBelowBytes: 0, freeRamBelowBytes: 0, intervalMs: 600_000 },
        ...{ hook: [], hookTimeoutMs: 300_000, hookEnvironment: {} },
      },
      previewMethod: "latent2rgb",
      serverRetireMs: 300_000,
      workerStatus: { host: "127.0.0.1", port: 0 },
      stallMs: 900_000,
      storageGraceMs: 600_000,
      ageingMs: 600_000,
      keeping: {
        retention: { ageMs: null, jobs: null, bytes: null },
        uploadsUnusedMs: 2_592_000_000,
        diskFreeBytes: 500_000_000,
        removedIdsMs: 31_536_000_000,
        webhookDeliveriesMs: 2_592_000_000,
      },
      webhooks: {
        ...{ allowHttp: false, allowedNetworks: [], timeoutMs: 15_000, retryFirstMs: 5_000 },
        ...{ retryForMs: 86_400_000, disableAfterMs: 432_000_000, perTenantMax: 20 },
      },
      workerId: undefined,
      apiDrainMs: 0,
      submissionThread: "at-start",
      tracesEndpoint: undefined,
    });
  });

  test("takes an empty variable as not set", () => {
    expect(readConfiguration({ PORT: "", DATABASE_URL: " " }).port).toBe(8328);
  });

  test("reads every variable", () => {
    const configuration = readConfiguration({
      RETENTION_DAYS: "90",
      RETENTION_JOBS: "1000",
      RETENTION_MB: "5",
      UPLOADS_UNUSED_DAYS: "0",
      DISK_FREE_MB: "7",
      REMOVED_IDS_DAYS: "0",
      WEBHOOK_DELIVERIES_DAYS: "2",
      WEBHOOKS_ALLOW_HTTP: "true",
      WEBHOOKS_ALLOW_NETWORKS: "10.1.0.0/16, fd00::/8,192.168.1.7",
      WEBHOOK_TIMEOUT_MS: "1000",
      WEBHOOK_RETRY_FIRST_MS: "10",
      WEBHOOK_RETRY_FOR_MS: "2000",
      WEBHOOK_DISABLE_AFTER_MS: "3000",
      WEBHOOKS_PER_TENANT: "4",
      PORT: "9000",
      HOST: "0.0.0.0",
      DATABASE_URL: "postgresql://a:b@db/genga",
      REDIS_URL: "rediss://r",
      REDIS_PREFIX: "studio-1",
      COMFYUI_URLS: "http://one:8188/, https://two ,http://one:8188",
      COMFYUI_SERVERS_FILE: "/etc/genga/servers.yaml",
      SERVERS_FROM_API: "false",
      SERVERS_DNS_INTERVAL_MS: "2000",
      SERVERS_DNS: "10.0.0.2, [fd00::2]:5353",
      ADDED_SERVERS_MAX: "5",
      SERVER_NAME: "pod-7",
      SERVER_SLOTS: "3",
      LANE_PATIENCE_MS: "30000",
      SERVER_LABELS: "http://one:8188/=pool:night, gpu:24gb; https://two=gpu:12gb;",
      DATA_DIR: "/srv/genga",
      STORAGE_URL: "file:///srv/out%20puts",
      SESSION_IDLE_HOURS: "1",
      SESSION_HOURS: "8",
      API_KEYS: "studio:key-one-1, studio:operate:key-two-2,atelier:read:key-three-3,plain-key-1",
      SECRETS_KEY: `${newKey}, ${oldKey}`,
      NODE_CLASSES_DENIED: "Load*FromUrl, Image Load",
      NODE_CLASSES_ALLOWED: "VHS_*",
      TENANT_JOBS_QUEUED_MAX: "10",
      TENANT_JOBS_RUNNING_MAX: "2",
      TENANT_REQUESTS_PER_MINUTE: "60",
      TENANT_REQUESTS_AT_ONCE: "5",
      TENANT_STREAMS_MAX: "3",
      LANES_MAX: "9",
      BODY_BYTES_AT_ONCE: "50000000",
      WRONG_KEYS_PER_MINUTE: "3",
      LOG_LEVEL: "debug",
      JOB_TIMEOUT_MS: "5000",
      VIDEO_JOB_TIMEOUT_MS: "7000",
      LEASE_MS: "600",
      AGEING_MS: "20000",
      SERVER_GRACE_MS: "0",
      PREVIEW_METHOD: "none",
      SERVER_RETIRE_MS: "0",
      WORKER_HOST: "0.0.0.0",
      WORKER_PORT: "9464",
      API_DRAIN_MS: "3000",
      SUBMISSION_THREAD: "when-needed",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318",
      STALL_MS: "1000",
      STORAGE_GRACE_MS: "0",
      WORKER_ID: "w-1",
      PUBLIC_URL: "https://Genga.example/studio/",
      TRUSTED_PROXIES: "loopback, 10.0.0.0/8,::1",
      CORS_ORIGINS: "https://pages.example, http://localhost:5173",
      ...{ RECYCLE_AFTER_JOBS: "500", RECYCLE_FREE_VRAM_BELOW_MB: "2000", RECYCLE_FREE_RAM_BELOW_MB: "4000" },
      ...{ RECYCLE_INTERVAL_MS: "1000", RECYCLE_HOOK_TIMEOUT_MS: "60000" },
      RECYCLE_HOOK: '["docker", "restart", "a name"]',
      // For the hook, which gets no other variables: they may be secrets.
      ...{
        HOME: "/root",
        LC_ALL: "C",
        KUBERNETES_SERVICE_HOST: "10.0.0.1",
        RECYCLE_HOOK_ENV: "AWS_PROFILE, CLUSTER",
      },
      ...{
        AWS_PROFILE: "farm",
        AWS_SECRET_ACCESS_KEY: "secret",
        COMFYUI_TOKEN: "secret",
        PGPASSWORD: "secret",
      },
      ...{ OTEL_EXPORTER_OTLP_HEADERS: "authorization=secret", CLUSTER: "north" },
    });
    expect(configuration).toEqual({
      port: 9000,
      host: "0.0.0.0",
      publicUrl: "https://genga.example/studio",
      trustedProxies: ["loopback", "10.0.0.0/8", "::1"],
      corsOrigins: ["https://pages.example", "http://localhost:5173"],
      databaseUrl: "postgresql://a:b@db/genga",
      redisUrl: "rediss://r",
      redisPrefix: "studio-1",
      comfyuiServers: ["http://one:8188", "https://two"].map((url) => ({
        identity: url,
        url,
        credentials: undefined,
      })),
      serversFile: "/etc/genga/servers.yaml",
      takesServersOfApi: false,
      addedServersMax: 5,
      serversDnsIntervalMs: 2000,
      serversDns: ["10.0.0.2", "[fd00::2]:5353"],
      serverName: "pod-7",
      serverSlots: 3,
      lanePatienceMs: 30_000,
      serverLabels: new Map([
        ["http://one:8188", ["gpu:24gb", "pool:night"]],
        ["https://two", ["gpu:12gb"]],
      ]),
      dataDir: "/srv/genga",
      thumbnailCacheBytes: 512_000_000,
      ffmpegPath: undefined,
      storage: { kind: "file", folder: "/srv/out puts" },
      sessions: { idleMs: 3_600_000, lifetimeMs: 8 * 3_600_000 },
      apiKeys: [
        { tenant: "studio", role: "submit", key: "key-one-1" },
        { tenant: "studio", role: "operate", key: "key-two-2" },
        { tenant: "atelier", role: "read", key: "key-three-3" },
        { tenant: "default", role: "submit", key: "plain-key-1" },
      ],
      secretsKeys: [newKey, oldKey],
      nodeClasses: { denied: ["Load*FromUrl", "Image Load"], allowed: ["VHS_*"] },
      tenantLimits: {
        ...{ jobsQueuedMax: 10, jobsRunningMax: 2, requestsPerMinute: 60, requestsAtOnce: 5, streamsMax: 3 },
      },
      lanesMax: 9,
      bodyBytesAtOnce: 50_000_000,
      wrongKeysPerMinute: 3,
      logLevel: "debug",
      jobTimeoutsMs: { image: 5000, video: 7000, workflow: 5000 },
      leaseMs: 600,
      serverGraceMs: 0,
      recycle: {
        ...{ afterJobs: 500, freeVramBelowBytes: 2e9, freeRamBelowBytes: 4e9, intervalMs: 1_000 },
        ...{
          hook: ["docker", "restart", "a name"],
          hookTimeoutMs: 60_000,
          hookEnvironment: {
            ...{ HOME: "/root", LC_ALL: "C", KUBERNETES_SERVICE_HOST: "10.0.0.1" },
            ...{ AWS_PROFILE: "farm", CLUSTER: "north" },
          },
        },
      },
      previewMethod: "none",
      serverRetireMs: 0,
      workerStatus: { host: "0.0.0.0", port: 9464 },
      stallMs: 1000,
      storageGraceMs: 0,
      ageingMs: 20_000,
      keeping: {
        retention: { ageMs: 90 * 86_400_000, jobs: 1_000, bytes: 5_000_000 },
        uploadsUnusedMs: null,
        diskFreeBytes: 7_000_000,
        removedIdsMs: null,
        webhookDeliveriesMs: 172_800_000,
      },
      webhooks: {
        ...{ allowHttp: true, allowedNetworks: ["10.1.0.0/16", "fd00::/8", "192.168.1.7"], timeoutMs: 1_000 },
        ...{ retryFirstMs: 10, retryForMs: 2_000, disableAfterMs: 3_000, perTenantMax: 4 },
      },
      workerId: "w-1",
      apiDrainMs: 3_000,
      submissionThread: "when-needed",
      tracesEndpoint: "http://collector:4318",
    });
  });

  test("names every bad variable, what was given and what is accepted, in one message", () => {
    const message = messageOf(() =>
      readConfiguration({ PORT: "80a", LOG_LEVEL: "loud", COMFYUI_URLS: "http://a,gpu-1:8188" }),
    );
    expect(message).toContain('PORT is "80a"; accepted: a whole number from 0 to 65535');
    expect(message).toContain('LOG_LEVEL is "loud"; accepted: one of trace, debug');
    expect(message).toContain(
      'COMFYUI_URLS is "http://a,gpu-1:8188"; accepted: URLs that begin with http://',
    );
  });

  test.each([
    { PORT: "65536" },
    { PORT: "-1" },
    { PORT: "1.5" },
    { SERVER_SLOTS: "0" },
    { LANE_PATIENCE_MS: "99" },
    { LEASE_MS: "1e9" },
    { DATABASE_URL: "mysql://x" },
    { REDIS_URL: "localhost:6379" },
    { HOST: "http://x y" },
    { API_KEYS: "short" },
    { API_KEYS: "same-key-1,tenant:same-key-1" },
    { API_KEYS: "Bad Tenant:long-enough-key" },
    { API_KEYS: "studio:a-key-with:a-colon" },
    { API_KEYS: "studio:operator:long-enough-key" },
    { API_KEYS: "studio:operate:a-key:with-a-colon" },
    { API_KEYS: "operate:long-enough-key" },
    { API_KEYS: "studio:Operate:long-enough-key" },
    { API_KEYS: "studio::long-enough-key" },
    { API_KEYS: "studio:operate:same-key-1,atelier:read:same-key-1" },
    { STORAGE_URL: "/srv/genga" },
    { STORAGE_URL: "file:" },
    { STORAGE_URL: "file://host/x" },
    { STORAGE_URL: "s3://" },
    { STORAGE_URL: "s3://bucket/../other" },
    { STORAGE_URL: "s3://Bucket name" },
    { WORKER_ID: "a b" },
    { PUBLIC_URL: "genga.example" },
    { PUBLIC_URL: "ftp://genga.example" },
    { PUBLIC_URL: "https://a:b@genga.example" },
    { PUBLIC_URL: "https://genga.example?x=1" },
    { TRUSTED_PROXIES: "everybody" },
    { CORS_ORIGINS: "*" },
    { CORS_ORIGINS: "pages.example" },
    { CORS_ORIGINS: "https://pages.example/" },
    { CORS_ORIGINS: "https://pages.example,null" },
    { TRUSTED_PROXIES: "10.0.0.0/33" },
    { TRUSTED_PROXIES: "10.0.0.0/8/8" },
    { NODE_CLASSES_DENIED: "*".repeat(201) },
    { REDIS_PREFIX: "a:b" },
    { TENANT_REQUESTS_AT_ONCE: "0" },
    { BODY_BYTES_AT_ONCE: "1000" },
    { WEBHOOKS_ALLOW_HTTP: "yes" },
    { WEBHOOKS_ALLOW_NETWORKS: "10.0.0.0/33" },
    { WEBHOOKS_ALLOW_NETWORKS: "inner.example" },
  ])("refuses %j", (env) => {
    expect(messageOf(() => readConfiguration(env))).toContain(`${Object.keys(env)[0] ?? ""} is `);
  });

  test.each([
    ["s3://studio-outputs", { kind: "s3", bucket: "studio-outputs", prefix: "" }],
    ["s3://studio/genga/night.2/", { kind: "s3", bucket: "studio", prefix: "genga/night.2" }],
  ])("outputs may be kept in a bucket: %s", (STORAGE_URL, storage) => {
    expect(readConfiguration({ STORAGE_URL }).storage).toEqual({ ...storage, linksTo: "bucket" });
    const elsewhere = { AWS_ENDPOINT_URL_S3: "http://minio:9000", AWS_REGION: "here" };
    expect(readConfiguration({ STORAGE_URL, ...elsewhere }).storage).toEqual({
      ...storage,
      ...{ endpoint: "http://minio:9000", region: "here", linksTo: "bucket" },
    });
    const links = { STORAGE_LINKS: "api", STORAGE_PUBLIC_URL: "https://files.example/" };
    expect(readConfiguration({ STORAGE_URL, ...links }).storage).toMatchObject({
      ...{ linksTo: "api", publicUrl: "https://files.example" },
    });
  });

  test("never shows a secret", () => {
    const message = messageOf(() =>
      readConfiguration({ API_KEYS: "hunter2", DATABASE_URL: "mysql://me:hunter2@db/x" }),
    );
    expect(message).not.toContain("hunter2");
    expect(message).toContain("mysql://me:***@db/x");
  });

  test("says which service URL is missing", () => {
    const configuration = readConfiguration({ REDIS_URL: "redis://r" });
    expect(messageOf(() => requireServices(configuration))).toMatch(/^DATABASE_URL not set/);
  });

  test("refuses to serve other machines without a key", () => {
    expect(
      messageOf(() => {
        requireKeyBeyondLoopback(readConfiguration({ HOST: "0.0.0.0" }), false);
      }),
    ).toContain("API_KEYS");
    requireKeyBeyondLoopback(readConfiguration({ HOST: "0.0.0.0", API_KEYS: "a-long-key" }), false);
    requireKeyBeyondLoopback(readConfiguration({ HOST: "0.0.0.0" }), true);
    requireKeyBeyondLoopback(readConfiguration({ HOST: "127.0.0.1" }), false);
  });

  test.each([
    ["127.0.0.1", true],
    ["127.1.2.3", true],
    ["::1", true],
    ["localhost", true],
    ["127.0.0.1.example.com", false],
    ["0.0.0.0", false],
    ["::", false],
  ])("knows whether %s is this machine only: %s", (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });

  test("and .env.example list the same variables", () => {
    const example = readFileSync(new URL("../../../.env.example", import.meta.url), "utf8");
    const listed = [...example.matchAll(/^(?:# )?([A-Z0-9_]+)=/gm)].map((match) => match[1]);
    expect(listed).toEqual(configurationVariables());
  });

  test("has the defaults that .env.example shows", () => {
    const example = readFileSync(new URL("../../../.env.example", import.meta.url), "utf8");
    const shown: Record<string, string> = Object.fromEntries(
      [...example.matchAll(/^([A-Z_]+)=(.*)$/gm)].map((match) => [match[1]!, match[2]!] as const),
    );
    expect(readConfiguration(shown)).toEqual(readConfiguration({}));
  });
});

describe("SECRETS_KEY", () => {
  test.each(["short", "a".repeat(64), "abc".repeat(20), `${newKey}!`, `${newKey},${newKey}`])(
    "is refused when it is %j, without being shown",
    (key) => {
      const message = messageOf(() => readConfiguration({ SECRETS_KEY: key }));
      expect(message).toMatch(/SECRETS_KEY is set \(its value is not shown\); accepted: 32 random bytes/);
      expect(message).not.toContain(key);
    },
  );
});

describe("COMFYUI_URLS", () => {
  const serversOf = (urls: string, name?: string): unknown =>
    readConfiguration({ COMFYUI_URLS: urls, SERVER_NAME: name }).comfyuiServers;

  test("name a server by origin and path: other passwords, cases, ports and slashes are no other server", () => {
    const server = { identity: "http://gpu-1/comfy", url: "http://gpu-1/comfy" };
    expect(serversOf("HTTP://user:p%40ss%2C@GPU-1:80/comfy//,http://user:p%40ss%2C@gpu-1/comfy")).toEqual([
      { ...server, credentials: { username: "user", password: "p@ss," } },
    ]);
    expect(serversOf("http://gpu-1:80/comfy/")).toEqual([{ ...server, credentials: undefined }]);
  });

  test("of this machine alone are told apart by SERVER_NAME, and others are not", () => {
    expect(
      serversOf("http://127.0.0.1:8188,http://localhost:8189/,http://gpu-1:8188", "pod-7"),
    ).toMatchObject([
      { identity: "http://127.0.0.1:8188#pod-7", url: "http://127.0.0.1:8188" },
      { identity: "http://localhost:8189#pod-7", url: "http://localhost:8189" },
      { identity: "http://gpu-1:8188", url: "http://gpu-1:8188" },
    ]);
  });

  test.each([
    ["http://gpu-1:8188/?token=hunter2", "without a query"],
    ["http://gpu-1:8188#hunter2", "without a query"],
    ["http://user:hunter2%@gpu-1:8188", "percent-encoded"],
    ["http://user:hunter2,x@gpu-1", "begin with http"],
    ["ftp://user:hunter2@gpu-1", "begin with http"],
    ["http://user:hunter2@gpu-1,http://user:other@gpu-1", "the same user and password"],
  ])("%s are refused, and shown nowhere", (urls, why) => {
    const message = messageOf(() => readConfiguration({ COMFYUI_URLS: urls }));
    expect(message).toContain(why);
    expect(message).not.toContain("hunter2");
  });
});

describe("SERVER_LABELS", () => {
  test.each([
    "gpu:24gb",
    "http://gpu-1",
    "http://gpu-1=",
    "http://gpu-1=GPU",
    "http://gpu-1=gpu:24:gb",
    "http://gpu-1=gpu 24gb",
    `http://gpu-1=${"x".repeat(65)}`,
    "http://gpu-1=a;http://gpu-1/=b",
    "ftp://gpu-1=a",
    "http://user:hunter2@gpu-1=A",
  ])("%s is refused, with a word about what is accepted", (labels) => {
    const message = messageOf(() => readConfiguration({ SERVER_LABELS: labels }));
    expect(message).toContain("http://gpu-1:8188=gpu:24gb,pool:night");
    expect(message).not.toContain("hunter2");
  });

  test("takes the hook as words, and refuses what only a shell would understand", () => {
    const hookOf = (text: string): readonly string[] =>
      readConfiguration({ RECYCLE_HOOK: text }).recycle.hook;
    expect(hookOf(" systemctl  restart comfyui ")).toEqual(["systemctl", "restart", "comfyui"]);
    expect(hookOf('["sh", "-c", "a; b"]')).toEqual(["sh", "-c", "a; b"]);
    for (const text of ["stop; start", "restart $NAME", 'run "a name"', "[]", '[""]', "[1]", "[broken"])
      expect(() => hookOf(text)).toThrow(/RECYCLE_HOOK .*without a shell/);
  });
});

test("a door for ComfyUI's clients cannot have the port of a server of this machine", () => {
  const check = (urls: string, port?: string) => (): void => {
    const env = { COMFYUI_URLS: urls, ...(port !== undefined && { COMFYUI_DOOR_PORT: port }) };
    requireOwnDoorPort(readConfiguration(env));
  };
  expect(check("http://gpu:8188,http://localhost:8188", "8188")).toThrow(
    "COMFYUI_DOOR_PORT is 8188, the port of the server http://localhost:8188 of COMFYUI_URLS.",
  );
  expect(check("http://127.0.0.1", "80")).toThrow("COMFYUI_DOOR_PORT is 80");
  expect(check("http://gpu:8188,http://127.0.0.1:8189", "8188")).not.toThrow();
  expect(check("http://127.0.0.1:8188", "0")).not.toThrow();
  expect(check("http://127.0.0.1:8188")).not.toThrow();
});
