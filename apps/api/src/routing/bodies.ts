import { type Request, type RequestHandler } from "express";
import { type z } from "zod";
import { jsonBody } from "../http/json-body.ts";
import { readObject } from "../http/request-values.ts";
import { bodySchemas, type BodyName } from "../schemas/named-schemas.ts";
import { json, type Contents } from "./contents.ts";

/** What a route takes as its body, how it arrives, and what is read from it. */
export interface Body<Value> {
  readonly content: Contents;
  /** A request may come without it. */
  readonly isOptional?: true;
  /** Takes the bytes from the connection; runs once it is known who asks and that they may. */
  readonly receive: readonly RequestHandler[];
  /** @throws InvalidJobError or RefusedError when the body is not what is wanted */
  readonly read: (request: Request) => Value | Promise<Value>;
}

/** The bodies that are one flat object of fields. */
type ObjectName = {
  [Name in BodyName]: (typeof bodySchemas)[Name] extends z.ZodObject ? Name : never;
}[BodyName];

/** A JSON body that its named schema judges: a flat object. One that may be left out stands for `{}`. */
export function jsonObject<Name extends ObjectName>(
  name: Name,
  options: { isOptional?: true } = {},
): Body<z.output<(typeof bodySchemas)[Name]>> {
  const schema = bodySchemas[name];
  const none = options.isOptional === true ? {} : undefined;
  return jsonValue(name, (body) => readObject(body === undefined ? none : body, schema), options);
}

/**
 * A JSON body that is judged by more than its named schema.
 * @param read of the parsed JSON, in which numbers that JavaScript would change are `ExactNumber`s; `undefined` = no body
 */
export function jsonValue<Value>(
  name: BodyName,
  read: (body: unknown) => Value,
  options: { isOptional?: true } = {},
): Body<Value> {
  return {
    content: json(name),
    ...options,
    receive: jsonBody(options),
    read: ({ body }) => read(body),
  };
}
