import { posix } from "node:path";
import {
  uploadStorageKey,
  type DoorFileName,
  type DoorFileType,
  type JobOutput,
  type Upload,
} from "@genga/jobs";
import { contentDisposition, isSafeToShow } from "../../http/content-disposition.ts";
import { sendOutput } from "../../http/send-output.ts";
import { leftSignal, waitForEnd } from "../../jobs/wait-for-end.ts";
import { keepUpload } from "../../uploads/keep-upload.ts";
import { receiveFiles } from "../../uploads/receive-files.ts";
import { RefusedError } from "../../http/problem-document.ts";
import { queryOf, type DoorRequest, type DoorRoute } from "../door-route.ts";
import { type DoorParts } from "../door-parts.ts";
import { isFileName, outputOfSource, readSubfolder, splitAnnotation } from "../file-names.ts";
import { readConversion, type ConversionFor } from "../picture-conversion.ts";

/** How long a request for a file waits that its job has named and not stored yet. */
const waitForFileMs = 30_000;

export const view: DoorRoute = {
  id: "view",
  method: "GET",
  path: "/view",
  handle: async (asked, parts) => {
    const { request, response } = asked;
    const wanted = readViewed(asked);
    if (typeof wanted === "number") {
      response.status(wanted).end();
      return;
    }
    const output = await findFile(wanted, asked, parts);
    if (output === undefined) {
      response.status(404).end();
      return;
    }
    const conversion = readConversion(queryOf(request, "preview"), queryOf(request, "channel"));
    if (conversion !== undefined) {
      const picture = await parts.door.pictures.convert(output, conversion, conversionFor(asked, parts));
      const { mediaType } = picture;
      const disposition = dispositionOf(wanted.name, mediaType) ?? contentDisposition("inline", wanted.name);
      response.set("content-disposition", disposition);
      response.type(picture.mediaType).send(picture.bytes);
      return;
    }
    const header = request.get("if-none-match");
    const isSent = await sendOutput(
      { request, response },
      asServed(output, wanted.name),
      parts,
      header === undefined ? {} : { "If-None-Match": header },
      // The name may stand for another file later.
      { maxAgeSeconds: 0, isShared: false },
    );
    if (isSent) return;
    response.removeHeader("accept-ranges");
    response.status(304).end();
  },
};

function conversionFor({ response, principal }: DoorRequest, { admission }: DoorParts): ConversionFor {
  const waitMs = admission.waitElsewhere(response);
  return { tenantId: principal.tenant.id, waitMs, left: leftSignal(response) };
}

/** Of a file that a browser would run, or that a server has no type for, a server says nothing but that it is bytes. */
function asServed(output: JobOutput, filename: string): Parameters<typeof sendOutput>[1] {
  const { mediaType: type } = output;
  // Servers go by the name.
  const byName = typesByName[type] ?? type;
  const mediaType = isSafeToShow(byName) || harmless.test(byName) ? byName : bytesType;
  return { ...output, filename, mediaType, contentDisposition: dispositionOf(filename, mediaType) };
}

/** Types as servers name them. */
const typesByName: Readonly<Record<string, string>> = {
  "image/apng": "image/png",
  "image/x-exr": "image/aces",
};
/** No browser runs these. */
const harmless = /^(text\/plain|text\/markdown|image\/aces)\b/;
const bytesType = "application/octet-stream";

/** A server names no type of disposition; `undefined` = the file is not safe to show, or its name needs the longer form. */
function dispositionOf(name: string, mediaType: string): string | undefined {
  const isPlain = /^[\x20-\x7e]+$/.test(name) && !/["\\]/.test(name);
  return isPlain && (isSafeToShow(mediaType) || harmless.test(mediaType) || mediaType === bytesType)
    ? `filename="${name}"`
    : undefined;
}

/** Which file is asked for, or the status of the refusal (PROTOCOL 7). */
function readViewed({ request }: DoorRequest): DoorFileName | number {
  const given = queryOf(request, "filename");
  if (given === undefined) return 404;
  const { name, type: annotated } = splitAnnotation(given);
  if (name === "" || name.startsWith("/") || name.includes("..")) return 400;
  const type = annotated ?? typeOf(queryOf(request, "type") ?? "output");
  if (type === undefined) return 400;
  const subfolder = readSubfolder(queryOf(request, "subfolder") ?? "");
  if (subfolder === undefined) return 403;
  // A server drops folders inside of the name.
  const plain = posix.basename(name);
  return isFileName(plain) ? { type, subfolder, name: plain } : 404;
}

function typeOf(text: string): DoorFileType | undefined {
  return text === "input" || text === "output" || text === "temp" ? text : undefined;
}

/** What stands behind a name; of a job that is still saving its outputs it is waited for. */
async function findFile(
  wanted: DoorFileName,
  { response, principal }: DoorRequest,
  parts: DoorParts,
): Promise<JobOutput | undefined> {
  const { door, uploads, feed } = parts;
  const tenantId = principal.tenant.id;
  const file = await door.files.findFile(tenantId, wanted);
  if (file === null) return undefined;
  if ("uploadId" in file) {
    const [upload] = await uploads.findUploads(tenantId, [file.uploadId]);
    return upload === undefined ? undefined : asOutput(upload, wanted.name);
  }
  const jobs = parts.ownJobs(principal);
  if (!file.hasEnded) {
    const job = await jobs.findJob(file.jobId);
    if (job === null || job === "removed") return undefined;
    await waitForEnd(job, { feed, jobs }, { ms: waitForFileMs, signal: leftSignal(response) });
  }
  return outputOfSource(await jobs.listOutputs(file.jobId), file.source);
}

function asOutput(upload: Upload, filename: string): JobOutput {
  const { id, mediaType, bytes, sha256, width, height, durationMs, createdAt } = upload;
  return {
    ...{
      id,
      jobId: id,
      attempt: 0,
      nodeId: "",
      key: "",
      index: 0,
      kind: "file",
      filename,
      mediaType,
      bytes,
      sha256,
    },
    ...{ width, height, durationMs, storageKey: uploadStorageKey(upload), text: null, createdAt },
  };
}

/** What a form says beside its file. */
interface UploadForm {
  fields: Map<string, string>;
  file: { upload: Upload; filename: string } | undefined;
}

export const uploadImage: DoorRoute = {
  id: "uploadImage",
  method: "POST",
  path: "/upload/image",
  handle: (asked, parts) =>
    orNoFile(asked, async () => {
      const { fields, file } = await receiveForm(asked, parts);
      const wanted = readWanted(fields, file?.filename);
      if (wanted === undefined || file === undefined) {
        asked.response.status(400).end();
        return;
      }
      await answerNamed(asked, parts, { wanted, upload: file.upload, fields });
    }),
};

export const uploadMask: DoorRoute = {
  id: "uploadMask",
  method: "POST",
  path: "/upload/mask",
  handle: (asked, parts) =>
    orNoFile(asked, async () => {
      const { fields, file } = await receiveForm(asked, parts);
      const wanted = readWanted(fields, file?.filename);
      const original = readReference(fields.get("original_ref"));
      if (wanted === undefined || original === undefined || file === undefined) {
        asked.response.status(400).end();
        return;
      }
      const found = await findFile(original, asked, parts);
      const tenantId = asked.principal.tenant.id;
      if (found === undefined) {
        // A server makes no file then, and says so nowhere.
        asked.response.json({ name: wanted.name, subfolder: wanted.subfolder, type: wanted.type });
        return;
      }
      const mask = asOutput(file.upload, file.filename);
      const asking = conversionFor(asked, parts);
      const picture = await parts.door.pictures.withAlphaOf(found, mask, asking);
      const upload = await keepUpload(picture, asking.left, { ...parts, tenantId });
      await answerNamed(asked, parts, { wanted, upload, fields });
    }),
};

async function receiveForm(
  { request, response, principal }: DoorRequest,
  parts: DoorParts,
): Promise<UploadForm> {
  const tenantId = principal.tenant.id;
  const fields = new Map<string, string>();
  const kept = await parts.admission.receivingInTurn(tenantId, response, () =>
    receiveFiles(
      { request, response },
      async ({ content, signal, field, filename }) => {
        const upload = await keepUpload(content, signal, { ...parts, tenantId });
        return { upload, field, filename: filename ?? "" };
      },
      { onField: (name, value) => fields.set(name, value) },
    ),
  );
  return { fields, file: kept.find(({ field }) => field === "image") };
}

/** A form without a file, or a body that is no form, is answered by a server without a word. */
async function orNoFile(asked: DoorRequest, receive: () => Promise<void>): Promise<void> {
  try {
    await receive();
  } catch (error) {
    const isNoForm = !/^multipart\/form-data/i.test(asked.request.headers["content-type"] ?? "");
    const isEmpty = error instanceof RefusedError && error.code === "bad-request";
    if (!isNoForm && !isEmpty) throw error;
    asked.response.status(400).end();
  }
}

/** Under which name the client wants the file; `undefined` = no file may have it. */
function readWanted(fields: UploadForm["fields"], filename: string | undefined): DoorFileName | undefined {
  const type = typeOf(fields.get("type") ?? "input");
  const subfolder = readSubfolder(fields.get("subfolder") ?? "");
  if (type === undefined || subfolder === undefined || filename === undefined || !isFileName(filename))
    return undefined;
  return { type, subfolder, name: filename };
}

function readReference(text: string | undefined): DoorFileName | undefined {
  try {
    const said = JSON.parse(text ?? "null") as {
      filename?: unknown;
      subfolder?: unknown;
      type?: unknown;
    } | null;
    const { filename, subfolder = "", type = "output" } = said ?? {};
    if (typeof filename !== "string" || typeof subfolder !== "string" || typeof type !== "string")
      return undefined;
    // The second mask of a picture names the first one as its loader does: `x.png [input]`.
    const { name, type: annotated } = splitAnnotation(filename);
    const [folder, known] = [readSubfolder(subfolder), annotated ?? typeOf(type)];
    return folder === undefined || known === undefined || !isFileName(name)
      ? undefined
      : { type: known, subfolder: folder, name };
  } catch {
    return undefined;
  }
}

async function answerNamed(
  { response, principal }: DoorRequest,
  { door }: DoorParts,
  { wanted, upload, fields }: { wanted: DoorFileName; upload: Upload; fields: UploadForm["fields"] },
): Promise<void> {
  const overwrite = ["true", "1"].includes(fields.get("overwrite") ?? "");
  const named = await door.files.nameUpload(principal.tenant.id, wanted, { uploadId: upload.id, overwrite });
  response.json({ name: named.name, subfolder: named.subfolder, type: named.type });
}
