import { BatchNotFoundError, JobNotFoundError } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { RefusedError } from "../http/problem-document.ts";

interface Subject {
  /** Whether a text can be the id or name of such a thing at all. Nothing is asked for by one that cannot. */
  canBe: (given: string) => boolean;
  /** The refusal when there is no such thing. @param given as it stood in the path, shortened */
  absent: (given: string) => Error;
}

/** What a path can be about: the `:id` or `:name` in it is checked here, and nowhere else in the API. */
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
  server: {
    canBe: isUuid,
    absent: (id) => new RefusedError("server-not-found", `There is no server ${id}.`),
  },
  key: {
    canBe: isUuid,
    absent: (id) => new RefusedError("key-not-found", `There is no key ${id} that works.`),
  },
  tenant: {
    canBe: (name) => /^[a-z0-9-]{1,63}$/.test(name),
    absent: () => new RefusedError("tenant-not-found", "There is no tenant of this name."),
  },
} as const satisfies Record<string, Subject>;

export type SubjectName = keyof typeof subjects;

/** Longer texts are no ids, and are not repeated whole. */
const shownMax = 100;

/**
 * The id or name in a path, in lower case.
 * @throws JobNotFoundError, BatchNotFoundError or RefusedError when it cannot be one
 */
export function readSubject(name: SubjectName, given: string): string {
  if (!subjects[name].canBe(given)) throw absentSubject(name, given);
  return given.toLowerCase();
}

/** The refusal of a request about something that is not there. */
export function absentSubject(name: SubjectName, given: string): Error {
  return subjects[name].absent(given.slice(0, shownMax));
}
