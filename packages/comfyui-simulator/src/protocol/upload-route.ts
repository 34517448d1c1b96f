import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PythonError } from "../python/python-values.ts";
import { emptyReply, jsonReply, type Exchange, type Reply } from "./http-exchange.ts";
import { isWithin, type Folders } from "./folders.ts";

interface UploadedFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** `POST /upload/image` (PROTOCOL 8). */
export function uploadRoute(folders: Folders): (exchange: Exchange) => Promise<Reply> {
  return async (exchange) => {
    const form = await formOf(exchange);
    const type = textOf(form, "type") ?? "input";
    const folder = folders.ofType(type);
    if (folder === undefined) throw new PythonError("UnboundLocalError", "type_dir");
    const image = await fileOf(form, "image");
    if (image === undefined || image.name === "") return emptyReply(400);
    const subfolder = textOf(form, "subfolder") ?? "";
    const target = path.join(folder, path.normalize(subfolder));
    if (!isWithin(folder, path.resolve(target, image.name))) return emptyReply(400);
    mkdirSync(target, { recursive: true });
    const overwrite = ["true", "1"].includes(textOf(form, "overwrite") ?? "");
    const name = overwrite ? image.name : freeName(target, image);
    if (name !== undefined) writeFileSync(path.join(target, name), image.bytes);
    return jsonReply({ name: name ?? keptName(target, image), subfolder, type });
  };
}

/** A body that is not multipart has no fields. */
async function formOf(exchange: Exchange): Promise<FormData> {
  const type = exchange.headers["content-type"] ?? "";
  const body = await exchange.body();
  if (!type.startsWith("multipart/form-data")) return new FormData();
  return new Response(new Uint8Array(body), { headers: { "content-type": type } }).formData();
}

function textOf(form: FormData, field: string): string | undefined {
  const value = form.get(field);
  return typeof value === "string" ? value : undefined;
}

async function fileOf(form: FormData, field: string): Promise<UploadedFile | undefined> {
  const value = form.get(field);
  if (value === null || value === "") return undefined;
  if (typeof value === "string")
    throw new PythonError("AttributeError", "'str' object has no attribute 'file'");
  return { name: value.name, bytes: Buffer.from(await value.arrayBuffer()) };
}

/** The first free name, `a (1).png` after `a.png`; undefined when the same bytes are already there under one of them. */
function freeName(folder: string, file: UploadedFile): string | undefined {
  for (const name of candidateNames(file.name)) {
    const existing = path.join(folder, name);
    if (!existsSync(existing)) return name;
    if (readFileSync(existing).equals(file.bytes)) return undefined;
  }
  return undefined;
}

function keptName(folder: string, file: UploadedFile): string {
  for (const name of candidateNames(file.name)) {
    if (readFileSync(path.join(folder, name)).equals(file.bytes)) return name;
  }
  return file.name;
}

function* candidateNames(name: string): Generator<string> {
  yield name;
  const { dir, name: stem, ext } = path.parse(name);
  for (let index = 1; ; index += 1) yield path.join(dir, `${stem} (${index})${ext}`);
}
