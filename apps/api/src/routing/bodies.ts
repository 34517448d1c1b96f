import { type Request, type RequestHandler } from "express";
import { type z } from "zod";
import { jsonBody, jsonMediaType, receiveBytes } from "../http/json-body.ts";
import { readObject } from "../http/request-values.ts";
import { bodySchemas, type BodyName } from "../schemas/named-schemas.ts";
import { json, type Contents } from "./contents.ts";

/** The body of a route: how it arrives, and how its value is read from it. */
export interface Body<Value> {
  readonly content: Contents;
  /** A request may have no body. */
  readonly isOptional?: true;
  /** Middleware that receives the bytes; it runs after authentication. */
  readonly receive: readonly RequestHandler[];
  /** @throws InvalidJobError or RefusedError when the body is not valid for the route */
  readonly read: (request: Request) => Value | Promise<Value>;
}

/** The names of bodies that are one flat object of fields. */
type ObjectName = {
  [Name in BodyName]: (typeof bodySchemas)[Name] extends z.ZodObject ? Name : never;
}[BodyName];

interface JsonOptions {
  isOptional?: true;
  /** The largest body; an open route needs a small one. */
  bytesMax?: number;
}

/**
 * A JSON body that is a flat object, validated by its named schema. An optional body that is missing counts as `{}`.
 */
export function jsonObject<Name extends ObjectName>(
  name: Name,
  options: JsonOptions = {},
): Body<z.output<(typeof bodySchemas)[Name]>> {
  const schema = bodySchemas[name];
  const none = options.isOptional === true ? {} : undefined;
  return jsonValue(name, (body) => readObject(body === undefined ? none : body, schema), options);
}

/**
 * A JSON body that needs more validation than its named schema.
 * @param read gets the parsed JSON, in which numbers that JavaScript would change are `ExactNumber`s; `undefined` = no
 * body
 */
export function jsonValue<Value>(
  name: BodyName,
  read: (body: unknown) => Value,
  options: JsonOptions = {},
): Body<Value> {
  return {
    content: json(name),
    ...(options.isOptional === true && { isOptional: true }),
    receive: jsonBody(options),
    read: ({ body }) => read(body),
  };
}

/**
 * A JSON body that the handler is given as it came, in bytes, because it may be large and another thread reads it.
 * @param otherTypes media types in which it may come as well
 */
export function jsonBytes(
  name: BodyName,
  otherTypes: readonly string[] = [],
  options: { isOptional?: true } = {},
): Body<Uint8Array<ArrayBuffer>> {
  const others = Object.fromEntries(otherTypes.map((type) => [type, { schema: { type: "string" } }]));
  return {
    content: { ...json(name), ...others },
    ...options,
    receive: receiveBytes([jsonMediaType, ...otherTypes], options),
    // Express leaves `undefined` where nothing was sent.
    read: ({ body }: { body: unknown }) => (Buffer.isBuffer(body) ? bytesOf(body) : new Uint8Array()),
  };
}

/** Node's types do not say that the bytes which Express collects are never shared between threads. */
function bytesOf(body: Buffer): Uint8Array<ArrayBuffer> {
  return body.buffer instanceof ArrayBuffer
    ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    : new Uint8Array(body);
}
