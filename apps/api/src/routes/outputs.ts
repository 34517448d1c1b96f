import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { sendOutput } from "../http/send-output.ts";
import { type Answer, type Contents } from "../routing/contents.ts";
import { alreadySent, route } from "../routing/route.ts";

const bytes = { type: "string", format: "binary" };
/** The media types that servers make most; a file's content may have any other type. */
const outputMediaTypes = [
  ...["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/svg+xml", "image/x-exr"],
  ...["video/mp4", "video/webm", "video/x-matroska"],
  ...["audio/flac", "audio/wav", "audio/mpeg", "audio/ogg"],
  ...["model/gltf-binary", "application/x-safetensors", "application/octet-stream"],
];
const outputContent: Contents = {
  ...Object.fromEntries(outputMediaTypes.map((type) => [type, { schema: bytes }])),
  "text/plain": { schema: { type: "string" } },
  "application/json": { schema: {} },
  "*/*": { schema: bytes },
};
const outputHeaders = {
  ETag: { description: "The SHA-256 of the whole content, in quotes.", schema: { type: "string" } },
  "Accept-Ranges": {
    description: "`none` for texts.",
    schema: { type: "string", enum: ["bytes", "none"] },
  },
  "Content-Disposition": {
    description: "`inline` for raster images, sounds and videos, `attachment` for everything else.",
    schema: { type: "string" },
  },
} as const satisfies Answer["headers"];

/** The headers of requests for an output's bytes. */
export const bytesHeaders = z.object({
  Range: z
    .string()
    .optional()
    .describe("One range: `bytes=0-499`. Several are answered with the whole file."),
  "If-Range": z.string().optional().describe("The range is used only if the output still has this ETag."),
  "If-None-Match": z.string().optional().describe("ETags that the client has; `*` for any."),
});
/** The answers to them. */
export const bytesAnswers = {
  200: { description: "All of it.", content: outputContent, headers: outputHeaders },
  206: {
    description: "The range that was asked for.",
    content: outputContent,
    headers: {
      ...outputHeaders,
      "Content-Range": { description: "`bytes 0-499/1234`", schema: { type: "string" } },
    },
  },
  304: { description: "The client has it already.", headers: outputHeaders },
} as const;

/** The bytes of an output. They never change, so a client that has them gets 304. */
export const getOutput = route({
  id: "getOutput",
  tag: "jobs",
  method: "GET",
  path: "outputs/:id",
  access: "read",
  subject: "output",
  summary: "The bytes of an output",
  description:
    "The bytes never change and may be cached for ever. HEAD has the same headers. Only raster images, sounds and " +
    "videos are shown in a browser; everything else is a download.",
  headers: bytesHeaders,
  answers: bytesAnswers,
  problems: ["output-not-found", "range-not-satisfiable", "storage-unavailable"],
  handler: async (
    { id, absent, headers, principal, request, response },
    { ownJobs, ...parts }: Pick<ApiDependencies, "ownJobs" | "storage" | "stallLimit">,
  ) => {
    const output = await ownJobs(principal).findOutput(id);
    if (output === null) throw absent();
    const isSent = await sendOutput({ request, response }, output, parts, headers);
    return isSent ? alreadySent : { status: 304 };
  },
});
