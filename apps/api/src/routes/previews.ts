import { createHash } from "node:crypto";
import { isTerminal, type Job, type PreviewPicture } from "@genga/jobs";
import { type Response } from "express";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { leftOrStopping } from "../jobs/wait-for-end.ts";
import { type Answer, type Contents } from "../routing/contents.ts";
import { alreadySent, route } from "../routing/route.ts";

const bytes = { type: "string", format: "binary" };
const pictures: Contents = { "image/jpeg": { schema: bytes }, "image/png": { schema: bytes } };
const reasons = ["not-running", "none-yet", "server-sends-none", "ended"] as const;
type Reason = (typeof reasons)[number];

const pictureHeaders = {
  ETag: { description: "Changes with the picture.", schema: { type: "string" } },
} as const satisfies Answer["headers"];

type Parts = Pick<ApiDependencies, "ownJobs" | "livePreviews" | "servers" | "stopping">;

/** The picture is never stored: it comes from the worker that runs the job, when somebody asks. */
export const getPreview = route({
  id: "getPreview",
  tag: "jobs",
  method: "GET",
  path: "jobs/:id/preview",
  access: "read",
  subject: "job",
  summary: "The latest preview picture of a running job",
  description:
    "What its server shows of the work in progress. It is not kept: once the job has ended there is none. Streams say when there is a " +
    "new one, if they are opened with `previews=true`.",
  headers: z.object({
    "If-None-Match": z.string().optional().describe("ETags that the client has; `*` for any."),
  }),
  answers: {
    200: { description: "The picture.", content: pictures, headers: pictureHeaders },
    204: {
      description: "There is none; `Preview-Missing` says why.",
      headers: {
        "Preview-Missing": {
          description:
            "`not-running`: the job waits, or its files are being saved; `none-yet`: its server has sent none for this attempt; " +
            "`server-sends-none`: so far, and its version sends some only if it was started to do so; `ended`: the job has ended.",
          schema: { type: "string", enum: [...reasons] },
        },
      },
    },
    304: { description: "The client has it already.", headers: pictureHeaders },
  },
  problems: ["job-not-found", "job-removed"],
  handler: async ({ id, headers, principal, response }, parts: Parts) => {
    const { ownJobs, livePreviews, stopping } = parts;
    const job = await foundJob(ownJobs(principal), id);
    if (job.status !== "processing" || job.phase !== "executing") {
      return missing(isTerminal(job.status) ? "ended" : "not-running");
    }
    const picture = await livePreviews.latest(job.id, job.attempt, leftOrStopping(response, stopping));
    if (picture === null) return missing(await whyNone(job, parts));
    const etag = `"${createHash("sha256").update(picture.bytes).digest("hex").slice(0, 32)}"`;
    setHeaders(response, picture, etag);
    if (isKnown(headers["If-None-Match"], etag)) return { status: 304 };
    response.send(Buffer.from(picture.bytes.buffer, picture.bytes.byteOffset, picture.bytes.byteLength));
    return alreadySent;
  },
});

function missing(reason: Reason): { status: 204; headers: Record<string, string> } {
  return { status: 204, headers: { "preview-missing": reason, "cache-control": "no-store" } };
}

/** The picture comes from a GPU server and is not trusted; its first bytes are those of its type. */
function setHeaders(response: Response, { mediaType }: PreviewPicture, etag: string): void {
  response.set({
    "content-type": mediaType,
    "content-disposition": "inline",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-cache",
    etag,
  });
}

/** Since this version, Genga can ask a server for the previews of one prompt. */
const versionThatIsAsked = 0.28;

async function whyNone({ serverId }: Job, { servers }: Pick<Parts, "servers">): Promise<Reason> {
  const { servers: known } = await servers.farm();
  const version = known.find((server) => server.id === serverId)?.version ?? null;
  const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  const isOld =
    version !== null && Number(major) === 0 && Number(`0.${minor.padStart(2, "0")}`) < versionThatIsAsked;
  return isOld ? "server-sends-none" : "none-yet";
}

function isKnown(wanted: string | undefined, etag: string): boolean {
  if (wanted === undefined) return false;
  return wanted.trim() === "*" || wanted.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
}
