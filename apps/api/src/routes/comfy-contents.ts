import { z } from "zod";
import { bodyBytesMax } from "../http/error-mapping.ts";
import { jsonBody, jsonMediaType, receiveBytes } from "../http/json-body.ts";
import { type Body } from "../routing/bodies.ts";
import { type Contents } from "../routing/contents.ts";

/** The contract of the Comfy API v2 says what is in it. */
export const comfyBody: Contents = { [jsonMediaType]: { schema: { type: "object" } } };

/** A key that works once. Any text may be one. */
export const singleUseKey = z
  .string()
  .optional()
  .transform((key) => (key === "" ? undefined : key));

/** An answer as JSON. */
export function comfyJson(view: object): { text: { mediaType: string; content: string } } {
  return { text: { mediaType: jsonMediaType, content: JSON.stringify(view) } };
}

/** A small JSON body, parsed. */
export const smallJson: Body<unknown> = {
  content: comfyBody,
  receive: jsonBody({ bytesMax: 64 * 1024 }),
  read: ({ body }: { body: unknown }) => body,
};

/** A JSON body that the handler is given in bytes, because it may be large and another thread reads it. */
export const jsonInBytes: Body<Uint8Array<ArrayBuffer>> = {
  content: comfyBody,
  receive: receiveBytes([jsonMediaType], { bytesMax: bodyBytesMax }),
  read: ({ body }: { body: unknown }) => (Buffer.isBuffer(body) ? new Uint8Array(body) : new Uint8Array()),
};
