import { numberOf } from "@genga/comfyui";
import { InvalidJobError, unstorable, withoutNul } from "@genga/jobs";
import { problemsOf } from "@genga/workflows";
import { type Request } from "express";
import { z } from "zod";

/** Refuses text that the database cannot hold. */
export function storable(text: z.ZodString): z.ZodString {
  return text.refine((given) => unstorable(given) === undefined, {
    error: "it contains NUL or half of a surrogate pair",
  });
}

/** A text for the database, of one character at least. */
export function storableText(lengthMax: number): z.ZodString {
  return storable(z.string().min(1).max(lengthMax)).meta({ pattern: withoutNul });
}

/**
 * Reads a flat JSON object, whose numbers may be `ExactNumber`s.
 * @param body the body that `jsonBody` parsed
 * @throws InvalidJobError with every problem of it
 */
export function readObject<Schema extends z.ZodObject>(body: unknown, schema: Schema): z.output<Schema> {
  const given: unknown =
    typeof body === "object" && body !== null && !Array.isArray(body)
      ? Object.fromEntries(Object.entries(body).map(([name, value]) => [name, numberOf(value) ?? value]))
      : body;
  return parse(schema, given);
}

/**
 * Makes the reader of one route's query. A list may be given as `?status=a,b` or as `?status=a&status=b`.
 * @returns a reader that throws InvalidJobError with every problem of the query
 */
export function queryReader<Schema extends z.ZodObject>(
  schema: Schema,
): (request: Request) => z.output<Schema> {
  const lists = Object.entries(schema.shape).flatMap(([name, field]) => (isList(field) ? [name] : []));
  return ({ query }) => parse(schema, lists.length === 0 ? query : withLists(query, lists));
}

/**
 * Makes the reader of the headers that one route declares, under the names in its schema.
 * @returns a reader that throws InvalidJobError with every problem of the headers
 */
export function headersReader<Schema extends z.ZodObject>(
  schema: Schema,
): (request: Request) => z.output<Schema> {
  const names = Object.keys(schema.shape);
  return ({ headers }) =>
    parse(schema, Object.fromEntries(names.map((name) => [name, headers[name.toLowerCase()]])));
}

type Defined<Fields> = {
  [Name in keyof Fields as undefined extends Fields[Name] ? Name : never]?: Exclude<Fields[Name], undefined>;
} & { [Name in keyof Fields as undefined extends Fields[Name] ? never : Name]: Fields[Name] };

/** Removes undefined fields, as `exactOptionalPropertyTypes` requires. */
export function withoutUndefined<Fields extends object>(fields: Fields): Defined<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Defined<Fields>;
}

function parse<Schema extends z.ZodObject>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, schema, given));
  return parsed.data;
}

function isList(field: unknown): boolean {
  return field instanceof z.ZodOptional ? isList(field.unwrap()) : field instanceof z.ZodArray;
}

function withLists(query: Request["query"], names: readonly string[]): Record<string, unknown> {
  const lists = names.flatMap((name) => {
    const given = query[name];
    if (given === undefined) return [];
    const texts: unknown[] = Array.isArray(given) ? given : [given];
    return [[name, texts.flatMap((text) => (typeof text === "string" ? text.split(",") : [text]))] as const];
  });
  return { ...query, ...Object.fromEntries(lists) };
}
