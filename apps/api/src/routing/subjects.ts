import { BatchNotFoundError, JobNotFoundError } from "@genga/jobs";
import { templateNamePattern } from "@genga/workflows";
import { validate as isUuid } from "uuid";
import { RefusedError } from "../http/problem-document.ts";

interface Subject {
  /** Whether a text has the form of an id or name of this kind. A text that has not is refused without a query. */
  canBe: (given: string) => boolean;
  /** Makes the refusal for a subject that does not exist. @param given the id or name in the path, shortened */
  absent: (given: string) => Error;
}

/** `blake3:` and 64 hexadecimal digits. */
const contentHashPattern = /^blake3:[0-9a-f]{64}$/i;

/**
 * The kinds of things that `:id` or `:name` in a path can name. Their form is checked here and nowhere else in the API.
 */
const subjects = {
  job: { canBe: isUuid, absent: (id) => new JobNotFoundError(id) },
  batch: { canBe: isUuid, absent: (id) => new BatchNotFoundError(id) },
  output: {
    canBe: isUuid,
    absent: (id) => new RefusedError("output-not-found", `There is no output ${id}.`),
  },
  upload: {
    canBe: isUuid,
    absent: (id) => new RefusedError("upload-not-found", `There is no upload ${id}.`),
  },
  asset: {
    canBe: isUuid,
    absent: (id) => new RefusedError("asset-not-found", `There is no asset ${id}.`),
  },
  content: {
    canBe: (hash) => contentHashPattern.test(hash),
    absent: () => new RefusedError("content-not-found", "No upload of this account has this content."),
  },
  server: {
    canBe: isUuid,
    absent: (id) => new RefusedError("server-not-found", `There is no server ${id}.`),
  },
  key: {
    canBe: isUuid,
    absent: (id) => new RefusedError("key-not-found", `There is no key ${id} that works.`),
  },
  session: {
    canBe: isUuid,
    absent: (id) => new RefusedError("session-not-found", `There is no session ${id} that goes on.`),
  },
  webhook: {
    canBe: isUuid,
    absent: (id) => new RefusedError("webhook-not-found", `There is no webhook ${id}.`),
  },
  "webhook delivery": {
    canBe: isUuid,
    absent: (id) => new RefusedError("webhook-delivery-not-found", `There is no delivery ${id}.`),
  },
  lane: {
    canBe: (name) => /^[a-z0-9][a-z0-9._-]{0,99}$/.test(name),
    absent: () => new RefusedError("lane-not-found", "There is no lane of this name."),
  },
  template: {
    canBe: (name) => templateNamePattern.test(name.toLowerCase()),
    absent: () =>
      new RefusedError("template-not-found", "There is no template of this name, or no such version."),
  },
  tenant: {
    canBe: (name) => /^[a-z0-9-]{1,63}$/.test(name),
    absent: () => new RefusedError("tenant-not-found", "There is no tenant of this name."),
  },
} as const satisfies Record<string, Subject>;

export type SubjectName = keyof typeof subjects;

/** A longer text is no id, and is not repeated whole in the answer. */
const shownMax = 100;

/**
 * The id or name in a path, in lower case.
 * @throws JobNotFoundError, BatchNotFoundError or RefusedError when it does not have the form of one
 */
export function readSubject(name: SubjectName, given: string): string {
  if (!subjects[name].canBe(given)) throw absentSubject(name, given);
  return given.toLowerCase();
}

/** Makes the refusal of a request about a subject that does not exist. */
export function absentSubject(name: SubjectName, given: string): Error {
  return subjects[name].absent(given.slice(0, shownMax));
}
