import { Readable } from "node:stream";
import { uploadMediaTypes, uploadName, uploadStorageKey, type Upload } from "@genga/jobs";
import { type z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { prefix } from "../http/paths.ts";
import { type Body } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { type uploadViewSchema } from "../schemas/uploads.ts";
import { imageBytesMax, readImage } from "../submissions/read-image.ts";
import { imageBody, imageOf } from "../submissions/upload-body.ts";

const imageContent = { type: "string", format: "binary", description: "At most 20 MiB." };

/** The image as the body, or as a file of a form. */
const image: Body<Buffer> = {
  content: {
    ...Object.fromEntries(uploadMediaTypes.map((type) => [type, { schema: imageContent }])),
    "multipart/form-data": {
      schema: {
        type: "object",
        required: ["image"],
        properties: {
          image: { ...imageContent, description: "The file; PNG, JPEG or WebP, at most 20 MiB." },
        },
      },
    },
  },
  receive: [imageBody()],
  read: imageOf,
};

export const uploadImage = route({
  id: "uploadImage",
  tag: "submit",
  method: "POST",
  path: "uploads",
  access: "submit",
  summary: "Send an initial image or a mask",
  description:
    "The image itself as the body, or a form with one file in the field `image`. PNG, JPEG or WebP by content, at most " +
    "20 MiB. The same image again is the same upload. Jobs name it by id: `initImage`, `mask`; the loaders of a raw " +
    "workflow by `name`.",
  body: image,
  answers: {
    201: { description: "The image can be used.", content: json("Upload"), headers: location },
  },
  problems: ["invalid-image", "storage-unavailable"],
  handler: async (
    { body, principal, baseUrl },
    { uploads, storage }: Pick<ApiDependencies, "uploads" | "storage">,
  ) => {
    const facts = await readImage(body);
    // The file is stored before the row, so that no row names a missing file. Uploads of equal content share one file.
    await uploads.keepFile(facts);
    await storage.write({
      storageKey: uploadStorageKey(facts),
      body: Readable.from([body]),
      bytesMax: imageBytesMax,
    });
    const upload = await uploads.saveUpload({ ...facts, tenantId: principal.tenant.id });
    const view = viewOfUpload(upload, baseUrl);
    return { location: view.links["self"] ?? "", json: view };
  },
});

export const getUpload = route({
  id: "getUpload",
  tag: "submit",
  method: "GET",
  path: "uploads/:id",
  access: "read",
  subject: "upload",
  summary: "One upload",
  answers: { 200: { description: "The upload.", content: json("Upload") } },
  problems: ["upload-not-found"],
  handler: async ({ id, absent, principal, baseUrl }, { uploads }: Pick<ApiDependencies, "uploads">) => {
    const [upload] = await uploads.findUploads(principal.tenant.id, [id]);
    if (upload === undefined) throw absent();
    return { json: viewOfUpload(upload, baseUrl) };
  },
});

function viewOfUpload(upload: Upload, baseUrl: string): z.infer<typeof uploadViewSchema> {
  const { id, sha256, mediaType, bytes, width, height, createdAt } = upload;
  return {
    ...{ id, name: uploadName(upload), sha256, mediaType, bytes, width, height },
    createdAt: createdAt.toISOString(),
    links: { self: `${baseUrl}${prefix}/uploads/${id}` },
  };
}
