import { InvalidJobError, type JobOutput, type Principal } from "@genga/jobs";
import { type Request, type Response } from "express";
import { z } from "zod";
import { type CheckedToken, type LinkedThing, tokenPattern } from "../access/signed-links.ts";
import { defaultTemplate, NameTemplate, templateShape } from "../archives/name-template.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { prefix } from "../http/paths.ts";
import { RefusedError, type ProblemCode } from "../http/problem-document.ts";
import { headersOfOutput, sendOutput } from "../http/send-output.ts";
import { foundBatch } from "../jobs/found-jobs.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { alreadySent, route } from "../routing/route.ts";
import { expiresInDefault, secondsOf } from "../schemas/signed-links.ts";
import { bytesAnswers, bytesHeaders } from "./outputs.ts";
import { sendZip, zipAnswers } from "./outputs-zip.ts";

const signing = {
  tag: "jobs",
  method: "POST",
  // To share something with everybody is more than to read it.
  access: "submit",
  answers: { 200: { description: "The link.", content: json("SignedLink") } },
} as const;
const bodyProblems: readonly ProblemCode[] = ["unknown-field", "invalid-field", "invalid-request"];

type Signing = Pick<ApiDependencies, "ownJobs" | "signedLinks" | "storage">;

export const linkToOutput = route({
  ...signing,
  id: "linkToOutput",
  path: "outputs/:id/links",
  subject: "output",
  summary: "A link to an output that works without a key for a while",
  description:
    "For browsers and other services. With outputs in a bucket the link leads to the bucket itself, which sends the bytes. It ends " +
    "at its time, when the output is removed, or when SECRETS_KEY is changed; it cannot be taken back before.",
  body: jsonObject("NewLink", { isOptional: true }),
  problems: ["output-not-found", "secrets-key-missing", "storage-unavailable", ...bodyProblems],
  handler: async ({ id, absent, body, principal, baseUrl }, { ownJobs, signedLinks, storage }: Signing) => {
    const output = await ownJobs(principal).findOutput(id);
    if (output === null) throw absent();
    const expiresInSeconds = secondsOf(body.expiresIn ?? expiresInDefault);
    const { storageKey } = output;
    const presigned =
      storageKey === null
        ? null
        : await storage.linkTo(storageKey, { ...headersInBucket(output), expiresInSeconds });
    if (presigned !== null) return { json: viewOf(presigned, expiryAfter(expiresInSeconds), "bucket") };
    return {
      json: signed({ kind: "output", id }, `outputs/${id}/shared`, expiresInSeconds, {
        principal,
        baseUrl,
        signedLinks,
      }),
    };
  },
});

/** A bucket cannot forbid that a browser guesses a type, so content that it does not show is of no type at all. */
function headersInBucket(output: JobOutput): ReturnType<typeof headersOfOutput> {
  const headers = headersOfOutput(output);
  const isShown = headers.contentDisposition.startsWith("inline");
  return isShown ? headers : { ...headers, mediaType: "application/octet-stream" };
}

export const linkToBatchZip = route({
  ...signing,
  id: "linkToBatchZip",
  path: "batches/:id/links",
  subject: "batch",
  summary: "A link to the zip of a batch that works without a key for a while",
  body: jsonObject("NewZipLink", { isOptional: true }),
  problems: ["batch-not-found", "batch-removed", "secrets-key-missing", ...bodyProblems],
  handler: async (
    { id, body, principal, baseUrl },
    { ownJobs, signedLinks }: Pick<Signing, "ownJobs" | "signedLinks">,
  ) => {
    await foundBatch(ownJobs(principal), id);
    const names = body.names ?? defaultTemplate;
    // What could not be served is not signed.
    new NameTemplate(names);
    const query = body.names === undefined ? "" : `names=${encodeURIComponent(names)}&`;
    const seconds = secondsOf(body.expiresIn ?? expiresInDefault);
    const place = `batches/${id}/outputs.zip/shared`;
    const thing = { kind: "batch-zip", id, names } as const;
    return { json: signed(thing, place, seconds, { principal, baseUrl, signedLinks, query }) };
  },
});

function signed(
  thing: LinkedThing,
  path: string,
  seconds: number,
  {
    principal,
    baseUrl,
    signedLinks,
    query = "",
  }: { principal: Principal; baseUrl: string; query?: string } & Pick<ApiDependencies, "signedLinks">,
): AnswerOf<"SignedLink"> {
  if (!signedLinks.canSign) {
    const message =
      "Links are signed with SECRETS_KEY, which is not set here; the operator of Genga can set it.";
    throw new InvalidJobError([{ path: "", code: "secrets-key-missing", message }]);
  }
  const expiresAt = expiryAfter(seconds);
  const token = signedLinks.sign(thing, principal.tenant.id, expiresAt);
  return viewOf(`${baseUrl}${prefix}/${path}?${query}token=${token}`, expiresAt, "api");
}

/** In whole seconds, as tokens have it. */
function expiryAfter(seconds: number): Date {
  return new Date((Math.floor(Date.now() / 1000) + seconds) * 1000);
}

function viewOf(url: string, expiresAt: Date, leadsTo: "api" | "bucket"): AnswerOf<"SignedLink"> {
  return { url, expiresAt: expiresAt.toISOString(), leadsTo };
}

const tokenField = z.string().max(200).meta({ pattern: tokenPattern }).describe("Of a signed link.");
const shared = { tag: "jobs", method: "GET", access: "open" } as const;
const linkProblems: readonly ProblemCode[] = [
  ...(["link-not-valid", "link-expired", "limit-reached", "store-unavailable"] as const),
  ...(["missing-field", "unknown-field", "invalid-field", "out-of-bounds", "invalid-request"] as const),
];

type Sharing = Pick<ApiDependencies, "ownJobs" | "signedLinks" | "admission">;

export const getSharedOutput = route({
  ...shared,
  id: "getSharedOutput",
  path: "outputs/:id/shared",
  subject: "output",
  summary: "The bytes of an output, by a signed link",
  query: z.strictObject({ token: tokenField }),
  headers: bytesHeaders,
  answers: bytesAnswers,
  problems: ["output-not-found", "range-not-satisfiable", "storage-unavailable", ...linkProblems],
  handler: async (
    { id, absent, query, headers, ...asked },
    parts: Sharing & Pick<ApiDependencies, "storage" | "stallLimit">,
  ) => {
    const link = await admitted(asked, { kind: "output", id }, query.token, parts);
    if (link === null) return alreadySent;
    const output = await parts.ownJobs(link.principal).findOutput(id);
    if (output === null) throw absent();
    const maxAgeSeconds = Math.floor((link.expiresAt.getTime() - Date.now()) / 1000);
    const caching = { maxAgeSeconds: Math.max(maxAgeSeconds, 0), isShared: true };
    const isSent = await sendOutput(asked, output, parts, headers, caching);
    return isSent ? alreadySent : { status: 304 };
  },
});

export const getSharedZip = route({
  ...shared,
  id: "getSharedZip",
  path: "batches/:id/outputs.zip/shared",
  subject: "batch",
  summary: "The zip of a batch, by a signed link",
  query: z.strictObject({
    token: tokenField,
    names: z.string().meta(templateShape).optional(),
  }),
  answers: zipAnswers,
  problems: ["batch-not-found", "batch-removed", "too-many-outputs", "too-many-streams", ...linkProblems],
  handler: async (
    { id, query, ...asked },
    parts: Sharing & Pick<ApiDependencies, "zips" | "stopping" | "keyWatch">,
  ) => {
    const names = query.names ?? defaultTemplate;
    const link = await admitted(asked, { kind: "batch-zip", id, names }, query.token, parts);
    if (link === null) return alreadySent;
    const batch = await foundBatch(parts.ownJobs(link.principal), id);
    const wanted = { filter: { batchId: batch.id }, names: new NameTemplate(names) };
    const filename = `${batch.name ?? batch.id}.zip`;
    return sendZip({ ...asked, principal: link.principal }, { ...wanted, filename }, parts, {
      isKeyWatched: false,
    });
  },
});

/**
 * Lets in a request with a valid link, as a request of the tenant whose link it is, and within that tenant's limits.
 * @returns `null` when the client left meanwhile
 * @throws RefusedError `link-not-valid`, `link-expired`, or a limit of the tenant
 */
async function admitted(
  { request, response }: { request: Request; response: Response },
  thing: LinkedThing,
  token: string,
  { signedLinks, admission }: Pick<Sharing, "signedLinks" | "admission">,
): Promise<{ principal: Principal; expiresAt: Date } | null> {
  const { tenantId, expiresAt } = validOf(signedLinks.check(token, thing, new Date()));
  const tenant = { id: tenantId, name: tenantId };
  const principal: Principal = { tenant, role: "read", keyName: "(a signed link)" };
  return (await admission.admitAs(principal, request, response)) ? { principal, expiresAt } : null;
}

function validOf(checked: CheckedToken): Exclude<CheckedToken, string> {
  if (checked === "forged")
    throw new RefusedError("link-not-valid", "This link was not signed here for this.");
  if (checked === "expired")
    throw new RefusedError("link-expired", "The time of this link is over; ask for a new one.");
  return checked;
}
