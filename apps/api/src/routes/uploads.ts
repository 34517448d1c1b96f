import { uploadMediaTypes, uploadName, type Upload } from "@genga/jobs";
import { type Request } from "express";
import { type z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { prefix } from "../http/paths.ts";
import { type Body } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { type uploadViewSchema } from "../schemas/uploads.ts";
import { keepUpload } from "../uploads/keep-upload.ts";
import { receiveFiles } from "../uploads/receive-files.ts";

const fileContent = { type: "string", format: "binary", description: "At most 20 MiB; a video 96 MiB." };

/** The file as the body, or files of a form. The handler reads it while it arrives. */
const file: Body<Request> = {
  content: {
    ...Object.fromEntries(uploadMediaTypes.map((type) => [type, { schema: fileContent }])),
    "multipart/form-data": {
      schema: {
        type: "object",
        required: ["image"],
        properties: {
          image: {
            ...fileContent,
            description: "A file. Up to 16 may come in one form, in fields of any name.",
          },
        },
      },
    },
  },
  receive: [],
  read: (request) => request,
};

export const uploadImage = route({
  id: "uploadImage",
  tag: "submit",
  method: "POST",
  path: "uploads",
  access: "submit",
  summary: "Send an image or a video for jobs to begin with",
  description:
    "The file itself as the body, or a form with up to 16 files. PNG, JPEG, WebP, GIF or MP4 by content; still or moving " +
    "pictures of at most 20 MiB, videos of at most 96 MiB and ten minutes. The same file again is the same upload. Jobs " +
    "name it by id: `initImage`, `mask`; the loaders of a raw workflow by `name`. If a file of a form is refused, those " +
    "before it are kept all the same. A body with a Content-Encoding is refused. A tenant may send eight at once to an API process.",
  body: file,
  answers: {
    201: { description: "The file can be used.", content: json("Upload"), headers: location },
  },
  problems: ["invalid-image", "invalid-video", "bad-request", "body-too-large", "storage-unavailable"],
  handler: async (
    { body: request, principal, baseUrl, response },
    { admission, uploads, storage }: Pick<ApiDependencies, "admission" | "uploads" | "storage">,
  ) => {
    const tenantId = principal.tenant.id;
    const [first, ...others] = await admission.receiving(tenantId, () =>
      receiveFiles({ request, response }, ({ content, signal }) =>
        keepUpload(content, signal, { uploads, storage, tenantId }),
      ),
    );
    const views = others.map((upload) => viewOfUpload(upload, baseUrl));
    const view = { ...viewOfUpload(first, baseUrl), ...(views.length > 0 && { others: views }) };
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
  const { id, sha256, mediaType, bytes, width, height, frames, durationMs, createdAt } = upload;
  return {
    ...{ id, name: uploadName(upload), sha256, mediaType, bytes, width, height, frames, durationMs },
    createdAt: createdAt.toISOString(),
    links: { self: `${baseUrl}${prefix}/uploads/${id}` },
  };
}
