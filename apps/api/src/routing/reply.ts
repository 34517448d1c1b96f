import { type z } from "zod";
import { type AnswerName, type answerSchemas } from "../schemas/named-schemas.ts";
import { type Answer, type JsonContents } from "./contents.ts";

/** The answers of a route, by status. */
export type Answers = Readonly<Record<number, Answer>>;

/** What an answer of a named schema contains. */
export type AnswerOf<Name extends AnswerName> = z.output<(typeof answerSchemas)[Name]>;

/** Any answer of a handler: JSON, a text of some media type, or only a status. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The URL of the resource that was created. */
  readonly location?: string;
  readonly json?: object;
  /** JSON that is written already, in UTF-8. */
  readonly jsonBytes?: Uint8Array;
  readonly text?: { readonly mediaType: string; readonly content: string };
}

/** A reply that the answers of a route allow: one of their statuses, with what that answer contains. */
export type ReplyTo<Allowed extends Answers> = {
  [Status in keyof Allowed]: Reply & StatusOf<Status> & ContentOf<Allowed[Status]>;
}[keyof Allowed];

/** A reply without a status gets the lowest one of its route, which is one of these. */
type StatusOf<Status> = Status extends 200 | 201 | 202 | 204
  ? { readonly status?: Status }
  : { readonly status: Status };

type ContentOf<Given> = Given extends { readonly content: JsonContents<infer Name extends AnswerName> }
  ? { readonly json: AnswerOf<Name> } | Written
  : Given extends { readonly content: object }
    ? Written
    : { readonly json?: never; readonly jsonBytes?: never; readonly text?: never };

/** An answer that a schema cannot be held to here, since it is a text already. */
type Written = { readonly json?: never } & Required<Pick<Reply, "text"> | Pick<Reply, "jsonBytes">>;
