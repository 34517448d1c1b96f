import { answerExamples, bodyExamples } from "../schemas/examples.ts";
import { type AnswerName, type BodyName } from "../schemas/named-schemas.ts";

/** The name of a schema in `schemas/named-schemas.ts`, or a JSON Schema that is written where it is used. */
export type SchemaPlace = BodyName | AnswerName | Readonly<Record<string, unknown>>;

interface Content {
  readonly schema: SchemaPlace;
  readonly example?: unknown;
}

/** The contents of a body or an answer, by media type. */
export type Contents = Readonly<Record<string, Content>>;

/** An answer of a route with one status. */
export interface Answer {
  readonly description: string;
  readonly content?: Contents;
  readonly headers?: Readonly<Record<string, { description: string; schema: SchemaPlace }>>;
}

const examples: Partial<Record<string, unknown>> = { ...bodyExamples, ...answerExamples };

/** JSON of a named schema. */
export interface JsonContents<Name extends BodyName | AnswerName> extends Contents {
  readonly "application/json": Content & { readonly schema: Name };
}

/** JSON of a named schema, with the schema's example if it has one. */
export function json<Name extends BodyName | AnswerName>(name: Name): JsonContents<Name> {
  const example = examples[name];
  return { "application/json": { schema: name, ...(example !== undefined && { example }) } };
}

/** An HTML page. */
export const html: Contents = { "text/html": { schema: { type: "string" } } };

/** The Location header of an answer. */
export const location = {
  Location: { description: "The URL of the new resource.", schema: { type: "string", format: "uri" } },
} as const;
