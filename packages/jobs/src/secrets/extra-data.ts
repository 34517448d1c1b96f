import { type Json } from "../job/job.ts";
import { InvalidJobError, type JobProblem } from "../job/job-errors.ts";
import { type SealForJob } from "../ports/job-requests.ts";
import { type SecretBox } from "./secret-box.ts";

/** The extra data of a job, which is sent to the server as `extra_data` of `POST /prompt`. */
export interface ExtraData {
  /** The open part. It is stored with the parameters, and everybody who may read the job may read it. */
  open: Record<string, Json>;
  /** The open part as it was given, before large numbers became text. */
  openAsGiven: Record<string, unknown>;
  /** The secret part: all other keys, as JSON text; undefined = there are none. */
  secret: string | undefined;
}

/** Writes JSON with its numbers as they were given; `JSON.stringify` would turn a large integer into a text. */
export type WriteJson = (value: unknown) => string;

/** These keys hold no secrets: they are written into the output files, or choose how previews are drawn. */
const openKeys: ReadonlySet<string> = new Set(["extra_pnginfo", "preview_method"]);
const openBytesMax = 4 * 2 ** 20;
const secretBytesMax = 8 * 2 ** 10;
const secretKeysMax = 50;
const nameLengthMax = 100;

/**
 * Separates the open part from the secret part. Problems name keys, never values.
 * @param given what the client sent, parsed from JSON
 * @throws InvalidJobError
 */
export function readExtraData(given: unknown, write: WriteJson): ExtraData {
  if (!isObject(given)) throw new InvalidJobError([problem("", "wrong-type", "must be an object")]);
  const entries = Object.entries(given);
  const openAsGiven = Object.fromEntries(entries.filter(([key]) => openKeys.has(key)));
  const open = jsonOf(openAsGiven);
  const secret = entries.filter(([key]) => !openKeys.has(key));
  const secretText = secret.length === 0 ? undefined : write(Object.fromEntries(secret));
  const problems = [
    ...problemsOfOpen(open, openAsGiven),
    ...problemsOfSecret(
      secret.map(([key]) => key),
      secretText,
    ),
  ];
  if (problems.length > 0) throw new InvalidJobError(problems);
  return { open, openAsGiven, secret: secretText };
}

/** Whether a job would run without secrets: no extra data was given, or an object without a secret part. */
export function lacksSecrets(given: unknown): boolean {
  return given === undefined || (isObject(given) && Object.keys(given).every((key) => openKeys.has(key)));
}

/** Encrypts the secret part for the row of one job. @throws InvalidJobError SECRETS_KEY is not set */
export function sealExtraData(secretBox: SecretBox | undefined, jobId: string, secret: string): Buffer {
  if (secretBox !== undefined) return secretBox.seal(secret, identityOf(jobId));
  throw new InvalidJobError([
    problem(
      "",
      "secrets-key-missing",
      "holds keys that must be kept secret, and SECRETS_KEY, which encrypts them, is not set here; the operator of Genga can " +
        "set it",
    ),
  ]);
}

/**
 * Encrypts, for each job, the secret part that a retry sends again; undefined = the retry sends none.
 * @throws InvalidJobError
 */
export function sealAnew(
  { secretBox, writeJson }: { secretBox?: SecretBox | undefined; writeJson: WriteJson },
  extraData: unknown,
): SealForJob | undefined {
  if (extraData === undefined) return undefined;
  const { open, secret } = readExtraData(extraData, writeJson);
  const [kept] = Object.keys(open);
  if (kept !== undefined) {
    throw new InvalidJobError([
      problem(
        kept,
        "unknown-field",
        "is still stored with the job; send only the secret keys, which were erased",
      ),
    ]);
  }
  return secret === undefined ? undefined : (jobId) => sealExtraData(secretBox, jobId, secret);
}

/**
 * Refuses extra data for jobs that are no raw workflows: Genga's own graphs have no nodes that need it.
 * @throws InvalidJobError
 */
export function assertNoExtraData(extraData: unknown): void {
  if (extraData === undefined) return;
  throw new InvalidJobError([problem("", "unknown-field", "goes with raw workflows only")]);
}

/** Decrypts the secret part, as JSON text. @throws SecretBoxError */
export function openExtraData(secretBox: SecretBox, jobId: string, sealed: Uint8Array): string {
  return secretBox.open(sealed, identityOf(jobId));
}

function identityOf(jobId: string): string {
  return `jobs/${jobId}/extra-data`;
}

/** The problems of the open part: what would harm a server (PROTOCOL-0.28 6), or is too large. */
function problemsOfOpen(open: Record<string, Json>, asGiven: Record<string, unknown>): JobProblem[] {
  const { extra_pnginfo: info } = open;
  // In `open`, large numbers have become text. The type of this value is checked as it was given.
  const { preview_method: method } = asGiven;
  const hasWorkflow = isObject(info) && "workflow" in info;
  return [
    ...(info !== undefined && (!isObject(info) || (hasWorkflow && !isObject(info["workflow"])))
      ? [problem("extra_pnginfo", "wrong-type", "must be an object, and its workflow one as well")]
      : []),
    ...(method !== undefined && (typeof method !== "string" || method.length > nameLengthMax)
      ? [problem("preview_method", "wrong-type", `must be a text of up to ${nameLengthMax} characters`)]
      : []),
    ...(Buffer.byteLength(JSON.stringify(open)) > openBytesMax
      ? [problem("extra_pnginfo", "out-of-bounds", `is longer than ${openBytesMax} bytes`)]
      : []),
  ];
}

function problemsOfSecret(keys: readonly string[], text: string | undefined): JobProblem[] {
  if (text === undefined) return [];
  return [
    ...(keys.includes("client_id")
      ? [problem("client_id", "invalid-value", "is set by Genga; leave it out")]
      : []),
    ...(keys.length > secretKeysMax
      ? [problem("", "out-of-bounds", `has more than ${secretKeysMax} keys`)]
      : []),
    ...keys
      .filter((key) => key.length > nameLengthMax)
      .slice(0, 1)
      .map((key) => problem(key.slice(0, nameLengthMax), "out-of-bounds", "has too long a name")),
    ...(Buffer.byteLength(text) > secretBytesMax
      ? [problem("", "out-of-bounds", `is longer than ${secretBytesMax} bytes beside extra_pnginfo`)]
      : []),
  ];
}

function problem(key: string, code: string, what: string): JobProblem {
  const path = key === "" ? "extraData" : `extraData.${key}`;
  return { path, code, message: `${path} ${what}.` };
}

function isObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  // A number that JavaScript cannot represent is an object with `toJSON` here; nothing else that was parsed from JSON
  // has functions.
  return !("toJSON" in value && typeof value.toJSON === "function");
}

/** The value after a round trip through JSON: large integers become text. */
function jsonOf(value: object): Record<string, Json> {
  return JSON.parse(JSON.stringify(value)) as Record<string, Json>;
}
