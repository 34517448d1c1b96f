import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PythonError } from "../python/python-values.ts";
import { emptyReply, jsonReply, type Exchange, type Reply } from "./http-exchange.ts";
import { isWithin, type Folders } from "../files/folders.ts";
import { readForm, type FormPart } from "./multipart-form.ts";

interface UploadedFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** `POST /upload/image` (PROTOCOL 8). */
export function uploadRoute(folders: Folders): (exchange: Exchange) => Promise<Reply> {
  return async (exchange) => {
    const form = readForm(exchange.headers["content-type"] ?? "", await exchange.body());
    const type = textOf(form, "type") ?? "input";
    const folder = folders.ofType(type);
    if (folder === undefined) throw new PythonError("UnboundLocalError", "type_dir");
    const image = fileOf(form, "image");
    if (image === undefined || image.name === "") return emptyReply(400);
    const subfolder = textOf(form, "subfolder") ?? "";
    // A subfolder that begins with a slash is an absolute path, and so lies outside of the folder.
    const target = path.resolve(folder, path.normalize(subfolder));
    if (!isWithin(folder, path.resolve(target, image.name))) return emptyReply(400);
    mkdirSync(target, { recursive: true });
    const overwrite = ["true", "1"].includes(textOf(form, "overwrite") ?? "");
    const name = overwrite ? image.name : freeName(target, image);
    if (name !== undefined) writeFileSync(path.join(target, name), image.bytes);
    return jsonReply({ name: name ?? keptName(target, image), subfolder, type });
  };
}

function textOf(form: ReadonlyMap<string, FormPart>, field: string): string | undefined {
  return form.get(field)?.bytes.toString("utf8");
}

/** @throws PythonError for a field that is not a file, unless it is empty */
function fileOf(form: ReadonlyMap<string, FormPart>, field: string): UploadedFile | undefined {
  const part = form.get(field);
  if (part === undefined) return undefined;
  if (part.filename !== undefined) return { name: part.filename, bytes: part.bytes };
  if (part.bytes.length === 0) return undefined;
  throw new PythonError("AttributeError", "'str' object has no attribute 'file'");
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
