import { jobStatuses, jobTypes, type OutputFilter, type Principal } from "@genga/jobs";
import { type Request, type Response } from "express";
import { z } from "zod";
import { credentialOf } from "../access/credentials.ts";
import {
  defaultTemplate,
  manifestName,
  NameTemplate,
  templateFields,
  templateShape,
} from "../archives/name-template.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { contentDisposition } from "../http/content-disposition.ts";
import { withoutUndefined } from "../http/request-values.ts";
import { foundBatch } from "../jobs/found-jobs.ts";
import { leftOrStopping } from "../jobs/wait-for-end.ts";
import { alreadySent, route } from "../routing/route.ts";
import { labelQueryFields } from "./list-queries.ts";

const fields = Object.entries(templateFields).map(([field, what]) => `{${field}} (${what})`);
const queryFields = {
  status: z
    .array(z.enum(jobStatuses))
    .min(1)
    .max(20)
    .optional()
    .describe("As for the list of jobs; only completed jobs have outputs."),
  type: z.array(z.enum(jobTypes)).min(1).max(20).optional().describe("One or several, separated by commas."),
  ...labelQueryFields,
  names: z
    .string()
    .meta(templateShape)
    .optional()
    .describe(
      `How the files are named; default: ${defaultTemplate}. Slashes separate folders, and the fields are ${fields.join(", ")}. ` +
        "Names are safe on every system, and the second one of the same name becomes `name (2)`.",
    ),
};

const description =
  "The zip is sent while it is made, the files one after the other as they are stored. Its last entry, " +
  `\`${manifestName}\`, says for each file how it was made: its graph, seed, models, server and version, attempt, parameters ` +
  "and SHA-256; each graph is there once. If a file was lost, or removed while the zip is sent, the connection is cut, so that " +
  "no client takes the zip for a whole one. Such a request counts as an event stream.";

export const zipAnswers = {
  200: {
    description: "The zip.",
    content: { "application/zip": { schema: { type: "string", format: "binary" } } },
    headers: {
      "Content-Disposition": { description: "`attachment`, with a name.", schema: { type: "string" } },
    },
  },
} as const;

const common = {
  tag: "jobs",
  method: "GET",
  access: "read",
  description,
  answers: zipAnswers,
} as const;
const problems = [
  ...(["too-many-outputs", "too-many-streams"] as const),
  ...(["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"] as const),
] as const;

type Parts = Pick<ApiDependencies, "ownJobs" | "zips" | "admission" | "keyWatch" | "stopping">;
interface Asked {
  principal: Principal;
  request: Request;
  response: Response;
}

export const getBatchZip = route({
  ...common,
  id: "getBatchZip",
  path: "batches/:id/outputs.zip",
  subject: "batch",
  summary: "The outputs of a batch as a zip",
  query: z.strictObject(queryFields),
  problems: ["batch-not-found", "batch-removed", ...problems],
  handler: async ({ id, query, ...asked }, parts: Parts) => {
    const { names, ...filter } = withoutUndefined(query);
    const template = new NameTemplate(names ?? defaultTemplate);
    const batch = await foundBatch(parts.ownJobs(asked.principal), id);
    const wanted = { ...filterOf(filter), batchId: batch.id };
    const filename = `${batch.name ?? batch.id}.zip`;
    return sendZip(asked, { filter: wanted, names: template, filename }, parts);
  },
});

export const getZip = route({
  ...common,
  id: "getZip",
  path: "outputs.zip",
  summary: "The outputs of all jobs that match as a zip",
  query: z.strictObject({ batch: z.uuid({ error: "is not a batch's id" }).optional(), ...queryFields }),
  problems,
  handler: async ({ query, ...asked }, parts: Parts) => {
    const { names, batch, ...filter } = withoutUndefined(query);
    const template = new NameTemplate(names ?? defaultTemplate);
    const wanted = { ...filterOf(filter), ...(batch !== undefined && { batchId: batch.toLowerCase() }) };
    return sendZip(asked, { filter: wanted, names: template, filename: "outputs.zip" }, parts);
  },
});

type Said = Omit<OutputFilter, "statuses" | "types" | "batchId"> & {
  status?: OutputFilter["statuses"];
  type?: OutputFilter["types"];
};

function filterOf({ status, type, ...labels }: Said): OutputFilter {
  return withoutUndefined({ ...labels, statuses: status, types: type });
}

/** @param options.isKeyWatched the zip ends when the request's key is revoked */
export async function sendZip(
  asked: Asked,
  what: ZipToSend,
  parts: Parts,
  options: { isKeyWatched?: boolean } = {},
): Promise<typeof alreadySent> {
  return parts.zips.places.hold(asked.principal.tenant.id, () => sendInPlace(asked, what, parts, options));
}

interface ZipToSend {
  filter: OutputFilter;
  names: NameTemplate;
  filename: string;
}

async function sendInPlace(
  { principal, request, response }: Asked,
  { filename, ...what }: ZipToSend,
  { ownJobs, zips, admission, keyWatch, stopping }: Parts,
  { isKeyWatched = true }: { isKeyWatched?: boolean },
): Promise<typeof alreadySent> {
  const wanted = { ...what, jobs: ownJobs(principal) };
  await zips.assertPossible(wanted);
  const headers = {
    "content-type": "application/zip",
    "content-disposition": contentDisposition("attachment", filename),
    "x-content-type-options": "nosniff",
    // A proxy that collects the answer before it passes it on would need room for all of it.
    "x-accel-buffering": "no",
  };
  if (request.method === "HEAD") {
    response.set(headers).end();
    return alreadySent;
  }
  await admission.openStream(response);
  const unwatchKey = isKeyWatched
    ? keyWatch.watch(credentialOf(response), () => response.destroy())
    : undefined;
  try {
    await zips.send(response, { ...wanted, headers }, leftOrStopping(response, stopping));
    return alreadySent;
  } finally {
    unwatchKey?.();
  }
}
