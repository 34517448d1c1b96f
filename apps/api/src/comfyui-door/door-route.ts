import { type Principal } from "@genga/jobs";
import express, { type Request, type RequestHandler, type Response } from "express";
import { parseJsonBytes } from "../http/json-body.ts";
import { bodyBytesMax } from "../http/error-mapping.ts";
import { type DoorParts } from "./door-parts.ts";

/** A route of ComfyUI's protocol. Each is also at `/api/…`. */
export interface DoorRoute {
  id: string;
  method: "GET" | "POST";
  path: string;
  /** It is at `/api/…` only. */
  isApiOnly?: true;
  /** Refused prompts are counted. */
  submits?: true;
  isPolled?: true;
  receive?: readonly RequestHandler[];
  handle: (asked: DoorRequest, parts: DoorParts) => Promise<void> | void;
}

export interface DoorRequest {
  request: Request;
  response: Response;
  principal: Principal;
}

/** Servers take a body whatever its media type says. */
export const anyBody: readonly RequestHandler[] = [express.raw({ type: () => true, limit: bodyBytesMax })];

export function bytesOf({ body }: Request): Uint8Array<ArrayBuffer> {
  return Buffer.isBuffer(body) ? new Uint8Array(body) : new Uint8Array();
}

/** The JSON body; `undefined` = there is none. @throws RefusedError `malformed-json` */
export async function jsonOf(request: Request): Promise<unknown> {
  const bytes = bytesOf(request);
  return bytes.length === 0 ? undefined : await parseJsonBytes(bytes);
}

/**
 * Writes a part of an answer, and waits until there is room for the next one. `StallLimit` cuts off a client that takes nothing.
 * @returns false when the client has left
 */
export async function writePart(response: Response, text: string): Promise<boolean> {
  if (response.destroyed) return false;
  if (response.write(text)) return true;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
  return !response.destroyed;
}

/** A value of the query; of several the first. */
export function queryOf({ query }: Request, name: string): string | undefined {
  const value: unknown = query[name];
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === "string" ? first : undefined;
}
