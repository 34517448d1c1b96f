import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { isFreshTag } from "../http/entity-tag.ts";
import { alreadySent, route } from "../routing/route.ts";
import { thumbnailFormats, thumbnailSizes } from "../thumbnails/draw-thumbnail.ts";
import { Thumbnails } from "../thumbnails/thumbnails.ts";

const image = { schema: { type: "string", format: "binary" } };
const tag = {
  ETag: { description: "Changes with the output, the size and the format.", schema: { type: "string" } },
};

export const getThumbnail = route({
  id: "getThumbnail",
  tag: "jobs",
  method: "GET",
  path: "outputs/:id/thumbnail",
  access: "read",
  subject: "output",
  summary: "A small picture of an output",
  description:
    "Of a picture, of the first frame of an animation, or of the first frame of a video. It is never larger than the picture itself, " +
    "may be cached for ever, and has none of its metadata.",
  query: z.strictObject({
    size: z.enum(thumbnailSizes.map(String)).default("256").describe("The longer side in pixels, at most."),
    format: z.enum(thumbnailFormats).default("webp"),
  }),
  headers: z.object({ "If-None-Match": z.string().optional().describe("ETags that the client has.") }),
  answers: {
    200: {
      description: "The thumbnail.",
      content: { "image/webp": image, "image/jpeg": image },
      headers: tag,
    },
    304: { description: "The client has it already.", headers: tag },
  },
  problems: [
    ...(["output-not-found", "no-thumbnail", "too-many-thumbnails", "storage-unavailable"] as const),
    ...(["unknown-field", "invalid-field", "invalid-request"] as const),
  ],
  handler: async (
    { id, absent, query, headers, principal, response },
    { ownJobs, thumbnails }: Pick<ApiDependencies, "ownJobs" | "thumbnails">,
  ) => {
    const output = await ownJobs(principal).findOutput(id);
    if (output === null) throw absent();
    const size = thumbnailSizes.find((each) => String(each) === query.size) ?? 256;
    const wanted = { output, size, format: query.format };
    const etag = `"${Thumbnails.nameOf(wanted)}"`;
    const isFresh = isFreshTag(headers["If-None-Match"], etag);
    const thumbnail = isFresh ? null : await thumbnails.find({ ...wanted, tenantId: principal.tenant.id });
    response.set({
      "content-type": `image/${query.format}`,
      "content-security-policy": "default-src 'none'; sandbox",
      "cross-origin-resource-policy": "same-origin",
      "x-content-type-options": "nosniff",
      etag,
      "cache-control": "private, max-age=31536000, immutable",
    });
    if (thumbnail === null) return { status: 304 };
    response.send(thumbnail);
    return alreadySent;
  },
});
