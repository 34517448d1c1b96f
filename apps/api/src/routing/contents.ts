import { answerExamples, bodyExamples } from "../schemas/examples.ts";
import { type AnswerName, type BodyName } from "../schemas/named-schemas.ts";

/** A schema of `schemas/named-schemas.ts` by its name, or a JSON Schema that stands where it is used. */
export type SchemaPlace = BodyName | AnswerName | Readonly<Record<string, unknown>>;

interface Content {
  readonly schema: SchemaPlace;
  readonly example?: unknown;
}

/** By media type. */
export type Contents = Readonly<Record<string, Content>>;

/** What a route may answer with one status. */
export interface Answer {
  readonly description: string;
  readonly content?: Contents;
  readonly headers?: Readonly<Record<string, { description: string; schema: SchemaPlace }>>;
}

const examples: Partial<Record<string, unknown>> = { ...bodyExamples, ...answerExamples };

/** JSON of a named schema, with its example where there is one. */
export function json(name: BodyName | AnswerName): Contents {
  const example = examples[name];
  return { "application/json": { schema: name, ...(example !== undefined && { example }) } };
}

/** A page. */
export const html: Contents = { "text/html": { schema: { type: "string" } } };

/** The header of an answer that tells where what was made is found. */
export const location = {
  Location: { description: "Where it is.", schema: { type: "string", format: "uri" } },
} as const;
