import { type z } from "zod";
import { type Method } from "../access/access-table.ts";
import { type ProblemCode } from "../http/problem-document.ts";

/** What operations are listed under, in this order. */
export const tags = {
  submit: "Jobs, batches and images to begin with",
  jobs: "What became of a job, and what it made",
  change: "Cancel, try again, remove",
  farm: "The queue, the servers and the workers",
  keys: "Who may do what, and who did what",
  service: "This service itself",
} as const;
type Tag = keyof typeof tags;

/** A schema of `components.schemas` by its name, or one that stands where it is used. */
export type SchemaPlace = string | Readonly<Record<string, unknown>>;

interface Content {
  readonly schema: SchemaPlace;
  readonly example?: unknown;
}

/** By media type. */
export type Contents = Readonly<Record<string, Content>>;

export interface Answer {
  readonly description: string;
  readonly content?: Contents;
  readonly headers?: Readonly<Record<string, { description: string; schema: SchemaPlace }>>;
}

/** One thing that can be done, as documented. Who may do it stands in `access-table.ts`. */
export interface Operation {
  /** Stable: generated clients name their functions by it. */
  readonly id: string;
  readonly tag: Tag;
  readonly method: Method;
  /** As in `access-table.ts`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly query?: z.ZodObject;
  readonly requestHeaders?: z.ZodObject;
  readonly body?: Contents;
  readonly isBodyOptional?: true;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those that hold for every operation of its kind. */
  readonly refusals?: readonly ProblemCode[];
}

/** JSON of one schema. */
export function json(schema: SchemaPlace, example?: unknown): Contents {
  return { "application/json": example === undefined ? { schema } : { schema, example } };
}

/** Where what was made is found. */
export const location = {
  Location: { description: "Where it is.", schema: { type: "string", format: "uri" } },
} as const;
