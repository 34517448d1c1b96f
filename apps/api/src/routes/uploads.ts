import { Readable } from "node:stream";
import { uploadName, uploadStorageKey, type Upload } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import { principalOf } from "../access/access.ts";
import { baseUrlOf } from "../http/base-url.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { prefix } from "../http/paths.ts";
import { RefusedError } from "../http/problem-document.ts";
import { imageBytesMax, readImage } from "../submissions/read-image.ts";
import { idOf } from "../http/request-values.ts";
import { imageBody, imageOf } from "../submissions/upload-body.ts";

/** What an upload is answered with. */
export const uploadViewSchema = z.object({
  id: z.string().describe("For initImage and mask."),
  name: z.string().describe("For the loaders of a raw workflow: LoadImage's `image`."),
  sha256: z.string(),
  mediaType: z.string(),
  bytes: z.int(),
  width: z.int(),
  height: z.int(),
  createdAt: z.string(),
  links: z.record(z.string(), z.url()),
});

/** `POST uploads`: an image to begin with, or a mask. The same image again is the same upload. */
export function addUploadRoutes(routes: GuardedRoutes, { uploads, storage }: ApiDependencies): void {
  routes.resource("uploads", {
    body: imageBody(),
    post: async (request, response) => {
      const image = await imageOf(request);
      const facts = await readImage(image);
      // The file first: a row never names what is not there. Equal contents share a file.
      await uploads.keepFile(facts);
      await storage.write({
        storageKey: uploadStorageKey(facts),
        body: Readable.from([image]),
        bytesMax: imageBytesMax,
      });
      const upload = await uploads.saveUpload({ ...facts, tenantId: principalOf(response).tenant.id });
      const view = viewOfUpload(upload, baseUrlOf(response));
      response
        .status(201)
        .location(view.links["self"] ?? "")
        .json(view);
    },
  });
  routes.resource("uploads/:id", {
    get: async (request, response) => {
      const id = idOf(request);
      const [upload] = isUuid(id)
        ? await uploads.findUploads(principalOf(response).tenant.id, [id.toLowerCase()])
        : [];
      if (upload === undefined) {
        throw new RefusedError("upload-not-found", `There is no upload ${id.slice(0, 100)}.`);
      }
      response.json(viewOfUpload(upload, baseUrlOf(response)));
    },
  });
}

function viewOfUpload(upload: Upload, baseUrl: string): z.infer<typeof uploadViewSchema> {
  const { id, sha256, mediaType, bytes, width, height, createdAt } = upload;
  return {
    ...{ id, name: uploadName(upload), sha256, mediaType, bytes, width, height },
    createdAt: createdAt.toISOString(),
    links: { self: `${baseUrl}${prefix}/uploads/${id}` },
  };
}
