import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { type JobOutput, type Principal } from "@genga/jobs";
import { type Response } from "express";
import { isFreshTag } from "../http/entity-tag.ts";
import { RefusedError } from "../http/problem-document.ts";
import { leftSignal } from "../jobs/wait-for-end.ts";
import { alreadySent, route } from "../routing/route.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import {
  hasThumbnail,
  thumbnailFormats,
  thumbnailSizes,
  type ThumbnailFormat,
} from "../thumbnails/draw-thumbnail.ts";
import { Thumbnails } from "../thumbnails/thumbnails.ts";

const image = { schema: { type: "string", format: "binary" } };
const tag = {
  ETag: { description: "Changes with the output, the size and the format.", schema: { type: "string" } },
};

/** What both routes have in common. */
const ofPicture = {
  tag: "jobs",
  method: "GET",
  access: "read",
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
} as const;
const problems = [
  ...(["no-thumbnail", "too-many-thumbnails", "storage-unavailable", "output-not-found"] as const),
  ...(["unknown-field", "invalid-field", "invalid-request"] as const),
] as const;

type Parts = Pick<ApiDependencies, "ownJobs" | "thumbnails">;

export const getThumbnail = route({
  ...ofPicture,
  id: "getThumbnail",
  path: "outputs/:id/thumbnail",
  subject: "output",
  summary: "A small picture of an output",
  description:
    "Of a picture, of the first frame of an animation, or of the first frame of a video. It is never larger than the picture itself, " +
    "may be cached for ever, and has none of its metadata.",
  problems,
  handler: async (asked, { ownJobs, thumbnails }: Parts) => {
    const output = await ownJobs(asked.principal).findOutput(asked.id);
    if (output === null) throw asked.absent();
    return await send(output, asked, thumbnails);
  },
});

export const getJobThumbnail = route({
  ...ofPicture,
  id: "getJobThumbnail",
  path: "jobs/:id/thumbnail",
  subject: "job",
  summary: "A small picture of a job's first picture or video",
  description: "The `links` of a job that has one name it. Its form is that of the thumbnail of an output.",
  problems: ["job-not-found", "job-removed", ...problems],
  handler: async (asked, { ownJobs, thumbnails }: Parts) => {
    const jobs = ownJobs(asked.principal);
    const { id, status } = await foundJob(jobs, asked.id);
    const outputs = status === "completed" ? await jobs.listOutputs(id) : [];
    const output = outputs.find(
      ({ storageKey, mediaType }) => storageKey !== null && hasThumbnail(mediaType),
    );
    if (output === undefined)
      throw new RefusedError("no-thumbnail", "The job has not completed with a picture or a video.");
    return await send(output, asked, thumbnails);
  },
});

interface Asked {
  query: { size: string; format: ThumbnailFormat };
  headers: { "If-None-Match"?: string | undefined };
  principal: Principal;
  response: Response;
}

async function send(
  output: JobOutput,
  { query, headers, principal, response }: Asked,
  thumbnails: Thumbnails,
): Promise<{ status: 304 } | typeof alreadySent> {
  const size = thumbnailSizes.find((each) => String(each) === query.size) ?? 256;
  const wanted = { output, size, format: query.format };
  const etag = `"${Thumbnails.nameOf(wanted)}"`;
  const isFresh = isFreshTag(headers["If-None-Match"], etag);
  const left = leftSignal(response);
  const thumbnail = isFresh
    ? null
    : await thumbnails.find({ ...wanted, tenantId: principal.tenant.id }, left).catch((error: unknown) => {
        if (!left.aborted) throw error;
      });
  if (thumbnail === undefined) return alreadySent;
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
}
