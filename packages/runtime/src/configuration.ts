import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { apiSettingsFrom, apiVariables, type ApiSettings } from "./api-settings.ts";
import { isLoopback } from "./comfyui-address.ts";
import { keepingFrom, keepingVariables, type KeepingSettings } from "./keeping-settings.ts";
import { limitsFrom, limitVariables, type LimitSettings } from "./limit-settings.ts";
import { corsOrigins, trustedProxies } from "./network-settings.ts";
import { nodeClassVariables } from "./node-class-settings.ts";
import { serversFrom, serverVariables, type ServerSettings } from "./server-settings.ts";
import { parseUrl } from "./parse-url.ts";
import { recycleFrom, recycleVariables, type RecycleSettings } from "./recycle-settings.ts";
import { sessionsFrom, sessionVariables, type SessionSettings } from "./session-settings.ts";
import { list, wholeNumber } from "./setting-values.ts";
import { webhooksFrom, webhookVariables, type WebhookSettings } from "./webhook-settings.ts";

/** The settings of a Genga process. Units are in the names; paths are absolute. */
export interface Configuration extends ApiSettings, LimitSettings, ServerSettings {
  readonly port: number;
  readonly host: string;
  /**
   * The URL under which clients reach the API, without a slash at its end. Undefined: each request's own URL is used.
   */
  readonly publicUrl: string | undefined;
  /** Addresses, subnets and `loopback`, `linklocal`, `uniquelocal`, as Express's `trust proxy` takes them. */
  readonly trustedProxies: readonly string[];
  /** Origins whose pages may use the API in a browser, as browsers write them. */
  readonly corsOrigins: readonly string[];
  /** The port on which the API also serves ComfyUI's own protocol; 0 = any free one, undefined = none. */
  readonly comfyuiDoorPort: number | undefined;
  /** Undefined if not set; `npm start` then starts its own Postgres. */
  readonly databaseUrl: string | undefined;
  /** Undefined if not set; `npm start` then starts its own Redis. */
  readonly redisUrl: string | undefined;
  /** The prefix of every key and channel, so that several installations may share one Redis. */
  readonly redisPrefix: string;
  readonly dataDir: string;
  readonly storage: StorageLocation;
  /** An API process keeps thumbnails in so many bytes of the folder `thumbnails` of `dataDir`. */
  readonly thumbnailCacheBytes: number;
  /** The ffmpeg that reads the first frames of videos; undefined = the one that npm has installed. */
  readonly ffmpegPath: string | undefined;
  readonly apiKeys: readonly ApiKey[];
  readonly sessions: SessionSettings;
  /** Newest first: the first encrypts and keys HMACs, all decrypt. Empty if none is set. Never logged. */
  readonly secretsKeys: readonly string[];
  /**
   * Patterns (`*` for any characters) of node classes that raw graphs may not have, except in submissions by keys with
   * the role `operate`.
   */
  readonly nodeClasses: { readonly denied: readonly string[]; readonly allowed: readonly string[] };
  readonly logLevel: LogLevel;
  readonly jobTimeoutsMs: JobTimeouts;
  readonly leaseMs: number;
  readonly serverGraceMs: number;
  /** What servers are asked for with each prompt that does not say it itself; `none` = no previews. */
  readonly previewMethod: PreviewMethod;
  /** A server is retired if no worker that was seen within this time names it. */
  readonly serverRetireMs: number;
  /**
   * An executing prompt without a message for this long has stalled; so has a queue that does not move for this long.
   */
  readonly stallMs: number;
  /** How long a job waits for a storage that cannot be used. */
  readonly storageGraceMs: number;
  /** A job that has waited in its priority band for this long moves up, never into `urgent`. */
  readonly ageingMs: number;
  /** How long, and how many, ended jobs and their files are kept. */
  readonly keeping: KeepingSettings;
  readonly webhooks: WebhookSettings;
  readonly recycle: RecycleSettings;
  /** The address on which a worker serves its health and metrics; port 0 takes a free one. */
  readonly workerStatus: { readonly host: string; readonly port: number };
  readonly workerId: string | undefined;
  /** The collector of traces, which takes OTLP over HTTP; undefined = nothing is traced. */
  readonly tracesEndpoint: string | undefined;
}

/** A configuration for a process that cannot work without Postgres and Redis: the API and the workers. */
export interface ServiceConfiguration extends Configuration {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export type StorageLocation =
  | { readonly kind: "file"; readonly folder: string }
  /** `prefix` is put before every key. It has no slashes at its ends, and may be empty. */
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix: string;
      /** The URL of a server other than AWS. */
      readonly endpoint?: string | undefined;
      readonly region?: string | undefined;
      /** Signed links to outputs lead to the bucket, or to the API. */
      readonly linksTo?: "bucket" | "api";
      /** The URL under which clients reach the bucket's server, if it is another one. */
      readonly publicUrl?: string | undefined;
    };

/** The roles of keys; each role may also do everything that the roles before it may. */
const roles = ["read", "submit", "operate"] as const;

export interface ApiKey {
  readonly tenant: string;
  readonly role: (typeof roles)[number];
  readonly key: string;
}

export interface JobTimeouts {
  readonly image: number;
  readonly video: number;
  readonly workflow: number;
}

const previewMethods = ["latent2rgb", "taesd", "auto", "none"] as const;
type PreviewMethod = (typeof previewMethods)[number];

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** The environment is not a valid configuration. The message is meant for a person and names every bad variable. */
export class ConfigurationError extends Error {
  readonly code = "CONFIGURATION_INVALID";
  override readonly name = "ConfigurationError";
}

/**
 * Reads and checks the whole environment once, at the start of a process.
 *
 * @throws ConfigurationError that names each bad variable, the given value and the accepted values.
 */
export function readConfiguration(env: Environment): Configuration {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ""),
  );
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) throw new ConfigurationError(explain(parsed.error, given));
  const values = parsed.data;
  const dataDir = resolve(values.DATA_DIR);
  return {
    port: values.PORT,
    host: values.HOST,
    publicUrl: values.PUBLIC_URL,
    trustedProxies: values.TRUSTED_PROXIES,
    ...{ corsOrigins: values.CORS_ORIGINS, comfyuiDoorPort: values.COMFYUI_DOOR_PORT },
    databaseUrl: values.DATABASE_URL,
    ...{ redisUrl: values.REDIS_URL, redisPrefix: values.REDIS_PREFIX },
    ...serversFrom(values),
    dataDir,
    storage: storageOf(values, dataDir),
    ...{ thumbnailCacheBytes: values.THUMBNAIL_CACHE_MB * 1_000_000, ffmpegPath: values.FFMPEG_PATH },
    ...{ apiKeys: values.API_KEYS, sessions: sessionsFrom(values) },
    secretsKeys: values.SECRETS_KEY,
    nodeClasses: { denied: values.NODE_CLASSES_DENIED, allowed: values.NODE_CLASSES_ALLOWED },
    ...limitsFrom(values),
    logLevel: values.LOG_LEVEL,
    jobTimeoutsMs: {
      image: values.IMAGE_JOB_TIMEOUT_MS ?? values.JOB_TIMEOUT_MS ?? 10 * minuteMs,
      video: values.VIDEO_JOB_TIMEOUT_MS ?? values.JOB_TIMEOUT_MS ?? 60 * minuteMs,
      workflow: values.JOB_TIMEOUT_MS ?? 60 * minuteMs,
    },
    leaseMs: values.LEASE_MS,
    ...{ serverGraceMs: values.SERVER_GRACE_MS, serverRetireMs: values.SERVER_RETIRE_MS },
    ...{ previewMethod: values.PREVIEW_METHOD, tracesEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT },
    ...{ stallMs: values.STALL_MS, storageGraceMs: values.STORAGE_GRACE_MS, ageingMs: values.AGEING_MS },
    keeping: keepingFrom(values),
    ...{ webhooks: webhooksFrom(values), recycle: recycleFrom(values, env) },
    workerStatus: { host: values.WORKER_HOST, port: values.WORKER_PORT },
    ...{ workerId: values.WORKER_ID, ...apiSettingsFrom(values) },
  };
}

function storageOf(
  {
    STORAGE_URL,
    STORAGE_LINKS,
    STORAGE_PUBLIC_URL,
    AWS_ENDPOINT_URL_S3,
    AWS_REGION,
  }: z.infer<typeof environmentSchema>,
  dataDir: string,
): StorageLocation {
  if (STORAGE_URL?.kind !== "s3") return STORAGE_URL ?? { kind: "file", folder: resolve(dataDir, "outputs") };
  const links = { linksTo: STORAGE_LINKS, publicUrl: STORAGE_PUBLIC_URL };
  return { ...STORAGE_URL, endpoint: AWS_ENDPOINT_URL_S3, region: AWS_REGION, ...links };
}

/** As `readConfiguration`, for a process that needs DATABASE_URL and REDIS_URL. */
export function requireServices(configuration: Configuration): ServiceConfiguration {
  const { databaseUrl, redisUrl } = configuration;
  if (databaseUrl === undefined || redisUrl === undefined) {
    const missing = [databaseUrl === undefined && "DATABASE_URL", redisUrl === undefined && "REDIS_URL"];
    throw new ConfigurationError(
      `${missing.filter(Boolean).join(" and ")} not set. This process needs a running Postgres and Redis; ` +
        "`npm start` starts its own.",
    );
  }
  return { ...configuration, databaseUrl, redisUrl };
}

/** Refuses to serve other machines without a key, because any machine in the network could then use the GPUs. */
export function requireKeyBeyondLoopback(configuration: Configuration, hasMadeKeys: boolean): void {
  if (isLoopback(configuration.host) || configuration.apiKeys.length > 0 || hasMadeKeys) return;
  throw new ConfigurationError(
    `HOST is "${configuration.host}", which other machines can reach, and there is no key. ` +
      "Make one (npm run keys -- add NAME --role operate), set API_KEYS (for example " +
      "API_KEYS=studio:operate:a-long-random-key), or leave HOST at 127.0.0.1.",
  );
}

/** Every variable that Genga reads, in the order of `.env.example`. */
export function configurationVariables(): readonly string[] {
  return Object.keys(environmentSchema.shape);
}

type Environment = Readonly<Record<string, string | undefined>>;

const minuteMs = 60_000;

const urlOf = (...protocols: string[]): z.ZodType<string, string> =>
  z.string().refine((text) => protocols.includes(parseUrl(text)?.protocol ?? ""), {
    error: `a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`,
  });

/** Links are made by appending paths to this URL. */
const publicUrl = z
  .string()
  .refine(
    (text) => {
      const url = parseUrl(text);
      if (url === null || /[?#\s]/.test(text)) return false;
      const { protocol, username, password } = url;
      return ["http:", "https:"].includes(protocol) && username === "" && password === "";
    },
    { error: "a URL that begins with http:// or https://, without user, query and fragment" },
  )
  .transform((text) => new URL(text).href.replace(/\/+$/, ""));

const apiKeys = z.string().transform((text, context): ApiKey[] => {
  const keys = list(text).map(readApiKey);
  const good = keys.filter((key) => key !== undefined);
  if (good.length < keys.length || new Set(good.map(({ key }) => key)).size < keys.length) {
    context.addIssue({
      code: "custom",
      message:
        "entries tenant:role:key, tenant:key or key, separated by commas; the tenant of lower-case letters, digits and " +
        "hyphens, and not named as a role is; the role one of read, submit and operate (none: submit); the key of 8 to " +
        "256 printable characters without comma and colon, each only once",
    });
  }
  return good;
});

/**
 * A key has no colon: `a:b:c` could otherwise mean the tenant `a` with the key `b:c`, or a key `c` with the role `b`.
 * For the same reason no tenant may have the name of a role: `operate:key` would look like a key with that role.
 */
function readApiKey(entry: string): ApiKey | undefined {
  const parts = entry.split(":");
  const key = parts.pop() ?? "";
  const [tenant = "default", role = "submit", ...rest] = parts;
  const known = roles.find((each) => each === role);
  const isGood =
    known !== undefined &&
    rest.length === 0 &&
    /^[a-z0-9][a-z0-9-]{0,62}$/.test(tenant) &&
    !roles.some((each) => each === tenant) &&
    /^[\x21-\x7e]{8,256}$/.test(key);
  return isGood ? { tenant, role: known, key } : undefined;
}

/** At least as long as 32 random bytes in base64. A repeated word can be as long, but it is refused as a key. */
const secretsKeyPattern = /^[A-Za-z0-9+/_=-]{43,256}$/;
const distinctCharactersMin = 12;

const secretsKeys = z
  .string()
  .transform(list)
  .refine(
    (keys) =>
      new Set(keys).size === keys.length &&
      keys.every((key) => secretsKeyPattern.test(key) && new Set(key).size >= distinctCharactersMin),
    {
      error:
        "32 random bytes or more in base64 or hex, such as `openssl rand -base64 32` prints; while keys are changed, the " +
        "new and the old one separated by a comma",
    },
  );

const storageUrl = z.string().transform((text, context): StorageLocation => {
  const s3 = /^s3:\/\/(?<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?<path>(?:\/\w[\w.-]*)*)\/?$/.exec(text);
  if (s3?.groups !== undefined) {
    const { bucket = "", path = "" } = s3.groups;
    return { kind: "s3", bucket, prefix: path.slice(1) };
  }
  const path = text.slice("file:".length);
  if (!text.startsWith("file:") || path === "" || (path.startsWith("//") && !path.startsWith("///"))) {
    const message = "a file: URL, such as file:///srv/genga or file:./outputs, or s3://bucket/prefix";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return { kind: "file", folder: path.startsWith("///") ? fileURLToPath(text) : resolve(path) };
});

const timeoutMs = wholeNumber(1000, 24 * 60 * minuteMs);
const hostAddress = z.string().regex(/^[A-Za-z0-9.:[\]-]+$/, { error: "an address or a host name" });

const environmentSchema = z.object({
  PORT: wholeNumber(0, 65_535).default(8328),
  HOST: hostAddress.default("127.0.0.1"),
  PUBLIC_URL: publicUrl.optional(),
  TRUSTED_PROXIES: trustedProxies.default([]),
  CORS_ORIGINS: corsOrigins.default([]),
  COMFYUI_DOOR_PORT: wholeNumber(0, 65_535).optional(),
  DATABASE_URL: urlOf("postgresql:", "postgres:").optional(),
  REDIS_URL: urlOf("redis:", "rediss:").optional(),
  REDIS_PREFIX: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, { error: "1 to 32 lower-case letters, digits or hyphens" })
    .default("genga"),
  ...serverVariables,
  DATA_DIR: z.string().default("./.genga"),
  STORAGE_URL: storageUrl.optional(),
  AWS_ENDPOINT_URL_S3: urlOf("http:", "https:").optional(),
  AWS_REGION: z.string().optional(),
  STORAGE_LINKS: z.enum(["bucket", "api"]).default("bucket"),
  STORAGE_PUBLIC_URL: publicUrl.optional(),
  THUMBNAIL_CACHE_MB: wholeNumber(0, 1_000_000).default(512),
  FFMPEG_PATH: z.string().optional(),
  API_KEYS: apiKeys.default([]),
  ...sessionVariables,
  SECRETS_KEY: secretsKeys.default([]),
  ...nodeClassVariables,
  ...limitVariables,
  LOG_LEVEL: z.enum(logLevels, { error: `one of ${logLevels.join(", ")}` }).default("info"),
  JOB_TIMEOUT_MS: timeoutMs.optional(),
  IMAGE_JOB_TIMEOUT_MS: timeoutMs.optional(),
  VIDEO_JOB_TIMEOUT_MS: timeoutMs.optional(),
  LEASE_MS: wholeNumber(500, 10 * minuteMs).default(12_000),
  SERVER_GRACE_MS: wholeNumber(0, 60 * minuteMs).default(60_000),
  PREVIEW_METHOD: z
    .enum(previewMethods, { error: `one of ${previewMethods.join(", ")}` })
    .default("latent2rgb"),
  SERVER_RETIRE_MS: wholeNumber(0, 24 * 60 * minuteMs).default(5 * minuteMs),
  STALL_MS: wholeNumber(1000, 24 * 60 * minuteMs).default(15 * minuteMs),
  STORAGE_GRACE_MS: wholeNumber(0, 24 * 60 * minuteMs).default(10 * minuteMs),
  ...recycleVariables,
  AGEING_MS: wholeNumber(1000, 30 * 24 * 60 * minuteMs).default(10 * minuteMs),
  ...keepingVariables,
  ...webhookVariables,
  OTEL_EXPORTER_OTLP_ENDPOINT: urlOf("http:", "https:").optional(),
  ...apiVariables,
  WORKER_HOST: hostAddress.default("127.0.0.1"),
  WORKER_PORT: wholeNumber(0, 65_535).default(0),
  WORKER_ID: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: "1 to 64 letters, digits, dots, hyphens or underscores" })
    .optional(),
});

function explain(error: z.ZodError, given: Environment): string {
  const lines = error.issues.map((issue) => {
    const variable = String(issue.path[0]);
    return `  ${variable} is ${shown(variable, given[variable] ?? "")}; accepted: ${issue.message}`;
  });
  return ["The configuration is not valid:", ...new Set(lines)].join("\n");
}

/** The value as given, without secrets: the message ends up in logs. */
function shown(variable: string, value: string): string {
  if (variable === "API_KEYS" || variable === "SECRETS_KEY") return "set (its value is not shown)";
  // A password that was not percent-encoded may hold any character, even commas and slashes, so the value is not shown.
  if (/^(COMFYUI_URLS|SERVER_LABELS)$/.test(variable) && /[@?#]/.test(value))
    return "set (its value is not shown)";
  return `"${value.replace(/(:\/\/[^:@/]*):[^@]*@/, "$1:***@")}"`;
}
