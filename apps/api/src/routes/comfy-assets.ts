import { type Request, type Response } from "express";
import { type Upload } from "@genga/jobs";
import { z } from "zod";
import { claimSingleUse, holdClaim } from "../accepting/hold-claim.ts";
import { AssetForm, readFromHash } from "../comfy-api/asset-fields.ts";
import { fileOfAsset, viewOfAsset, viewOfOutputAsset } from "../comfy-api/asset-view.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { comfyApiPrefix } from "../http/paths.ts";
import { RefusedError } from "../http/problem-document.ts";
import { sendOutput } from "../http/send-output.ts";
import { type Body } from "../routing/bodies.ts";
import { alreadySent, route } from "../routing/route.ts";
import { keepUpload } from "../uploads/keep-upload.ts";
import { receiveFiles } from "../uploads/receive-files.ts";
import { fileBytesMax } from "../uploads/upload-limits.ts";
import { comfyBody, comfyJson, singleUseKey, smallJson } from "./comfy-contents.ts";

const assets = `${comfyApiPrefix}/assets`;

type Assets = Pick<ApiDependencies, "assets" | "keeping">;

/** A form with one file, which the handler reads while it arrives. */
const form: Body<Request> = {
  content: { "multipart/form-data": { schema: { type: "object" } } },
  receive: [],
  read: (request) => {
    if (request.is("multipart/form-data") !== false) return request;
    throw new RefusedError("unsupported-media-type", "An asset must be sent as multipart/form-data.");
  },
};

export const uploadAsset = route({
  id: "uploadAsset",
  tag: "submit",
  method: "POST",
  path: assets,
  access: "submit",
  summary: "Send a file as an asset",
  headers: z.object({ "Idempotency-Key": singleUseKey }),
  body: form,
  answers: {
    201: { description: "The content is new to this tenant.", content: comfyBody },
    200: { description: "The tenant has sent this content before.", content: comfyBody },
  },
  handler: async (
    { body: request, headers, principal, response, baseUrl },
    { idempotency, ...parts }: Assets & Receiving & Pick<ApiDependencies, "idempotency">,
  ) => {
    const tenantId = principal.tenant.id;
    const key = headers["Idempotency-Key"];
    const claim =
      key === undefined ? undefined : await claimSingleUse(idempotency, { tenantId, key, route: "assets" });
    const make = async (): Promise<ReturnType<typeof madeOrFound>> => {
      const said = new AssetForm();
      let upload = await receiveAsset({ request, response }, said, { tenantId, ...parts });
      let asset = await parts.assets.makeAsset(upload, said.read(), claim);
      if (asset === null) {
        // A sweep has removed the unused upload at this moment. Its file stays for an hour, and is kept.
        await parts.uploads.keepFile(upload);
        upload = await parts.uploads.saveUpload(upload);
        asset = await parts.assets.makeAsset(upload, said.read(), claim);
      }
      if (asset === null)
        throw new RefusedError(
          "content-not-found",
          "The file was removed again at this moment; send it again.",
        );
      const { isNew } = upload;
      return madeOrFound(isNew, viewOfAsset(asset, { baseUrl, keeping: parts.keeping }, isNew));
    };
    return claim === undefined ? await make() : await holdClaim(idempotency, claim, make);
  },
});

/** What a form may have beside its file. */
const formFieldsBytesMax = 2 * 1024 * 1024;

type Receiving = Pick<ApiDependencies, "admission" | "uploads" | "storage">;

/** Keeps the file of the form, unless its content is not the one that the form declares. */
async function receiveAsset(
  { request, response }: { request: Request; response: Response },
  said: AssetForm,
  { admission, uploads, storage, tenantId }: Receiving & { tenantId: string },
): Promise<Upload & { isNew: boolean }> {
  const assertWanted = ({ blake3 }: { blake3: string }): void => {
    const expected = said.expectedHash;
    if (expected === undefined || expected === `blake3:${blake3}`) return;
    throw new RefusedError(
      "hash-mismatch",
      `The content has the hash blake3:${blake3}, and not the declared one.`,
    );
  };
  const [upload] = await admission.receiving(tenantId, () =>
    receiveFiles(
      { request, response },
      async ({ content, field, signal }) => {
        if (field === "file")
          return await keepUpload(content, signal, { uploads, storage, tenantId, assertWanted });
        content.resume();
        throw new RefusedError("bad-request", "The file must be in the field `file`.");
      },
      {
        ...{ filesMax: 1, bytesMax: fileBytesMax + formFieldsBytesMax },
        onField: (name, value) => {
          said.note(name, value);
        },
      },
    ),
  );
  // The hash may have been declared after the file.
  assertWanted({ blake3: upload.blake3 ?? "" });
  return upload;
}

export const assetFromHash = route({
  id: "assetFromHash",
  tag: "submit",
  method: "POST",
  path: `${assets}/from-hash`,
  access: "submit",
  summary: "An asset of content that the tenant has sent before",
  body: smallJson,
  answers: {
    201: { description: "The new asset.", content: comfyBody },
    200: { description: "There is the same already.", content: comfyBody },
  },
  handler: async ({ body, principal, baseUrl }, parts: Assets) => {
    const { blake3, fields } = readFromHash(body);
    const made = await parts.assets.makeAssetOfContent(principal.tenant.id, blake3, fields);
    if (made === null)
      throw new RefusedError("content-not-found", "No upload of this account has this content.");
    return madeOrFound(made.isNew, viewOfAsset(made.asset, { baseUrl, keeping: parts.keeping }, false));
  },
});

export const headAssetByHash = route({
  id: "headAssetByHash",
  tag: "submit",
  method: "HEAD",
  path: `${assets}/by-hash/:hash`,
  access: "read",
  subject: "content",
  summary: "Whether the tenant has sent this content",
  answers: { 200: { description: "It has." } },
  handler: async ({ id, absent, principal }, parts: Assets) => {
    const blake3 = id.slice("blake3:".length);
    if (!(await parts.assets.hasContent(principal.tenant.id, blake3))) throw absent();
    return {};
  },
});

function madeOrFound(
  isNew: boolean,
  view: object,
): ({ status: 200 } | { status: 201 }) & ReturnType<typeof comfyJson> {
  return isNew ? { status: 201, ...comfyJson(view) } : { status: 200, ...comfyJson(view) };
}

const anAsset = { tag: "jobs", path: `${assets}/:id`, subject: "asset" } as const;

export const getComfyAsset = route({
  ...anAsset,
  id: "getComfyAsset",
  method: "GET",
  access: "read",
  summary: "An asset: an upload, or an output of a job",
  answers: { 200: { description: "The asset.", content: comfyBody } },
  handler: async (
    { id, absent, principal, baseUrl },
    { assets: store, keeping, ownJobs }: Assets & Pick<ApiDependencies, "ownJobs">,
  ) => {
    const [asset] = await store.findAssets(principal.tenant.id, [id]);
    if (asset !== undefined) return comfyJson(viewOfAsset(asset, { baseUrl, keeping }));
    const output = await ownJobs(principal).findOutput(id);
    if (output === null) throw absent();
    return comfyJson(viewOfOutputAsset(output, { baseUrl, keeping }));
  },
});

export const removeComfyAsset = route({
  ...anAsset,
  id: "removeComfyAsset",
  method: "DELETE",
  access: "submit",
  summary: "Remove an asset; its content stays for others",
  answers: { 204: { description: "It is removed." } },
  handler: async (
    { id, absent, principal },
    { assets: store, ownJobs }: Assets & Pick<ApiDependencies, "ownJobs">,
  ) => {
    if (await store.removeAsset(principal.tenant.id, id)) return {};
    if ((await ownJobs(principal).findOutput(id)) === null) throw absent();
    throw new RefusedError("asset-in-use", "The asset is in use, and cannot be removed now.");
  },
});

export const getComfyAssetContent = route({
  ...anAsset,
  id: "getComfyAssetContent",
  method: "GET",
  path: `${assets}/:id/content`,
  access: "read",
  summary: "The bytes of an asset",
  answers: {
    200: { description: "All of it.", content: comfyBody },
    206: { description: "The range that was asked for.", content: comfyBody },
  },
  handler: async (
    { id, absent, principal, request, response },
    { assets: store, ownJobs, ...parts }: Assets & Sending,
  ): Promise<typeof alreadySent> => {
    const [asset] = await store.findAssets(principal.tenant.id, [id]);
    const file = asset === undefined ? await ownJobs(principal).findOutput(id) : fileOfAsset(asset);
    if (file === null) throw absent();
    await sendOutput({ request, response }, file, parts, {});
    return alreadySent;
  },
});

type Sending = Pick<ApiDependencies, "ownJobs" | "storage" | "stallLimit">;
