import { encodePng } from "../../src/drawing/png.ts";
import { isDict, type PythonDict, type PythonValue, pythonText } from "../../src/python/python-values.ts";
import { dictAt, textAt } from "./recording.ts";

/** Bodies that were too long to keep are recorded as their length. */
export function rawBody(recorded: PythonValue | undefined): PythonValue | undefined {
  const length = typeof recorded === "string" ? /^\((\d+) bytes\)$/.exec(recorded)?.[1] : undefined;
  return length === undefined ? recorded : "x".repeat(Number(length));
}

/**
 * The form that a recorded upload was sent in.
 * @param side the width and height of its pictures
 */
export function formOf(multipart: PythonDict, side: number): FormData {
  const form = new FormData();
  for (const [key, value] of dictAt(multipart, "fields")) form.append(key, pythonText(value));
  for (const [key, value] of multipart) {
    const named = typeof value === "string" ? /^\((.+), \d+x\d+ PNG\)$/.exec(value)?.[1] : undefined;
    if (named !== undefined) form.append(key, new Blob([new Uint8Array(fileBytes(75, side))]), named);
    else if (typeof value === "string") appendNamed(form, key, value, side);
  }
  for (const [key, value] of dictAt(multipart, "files")) {
    const file = isDict(value) ? value : new Map<string, PythonValue>();
    const bytes = fileBytes(Number(file.get("byteLength")), side);
    form.append(
      key,
      new Blob([new Uint8Array(bytes)], { type: textAt(file, "contentType") }),
      textAt(file, "filename"),
    );
  }
  return form;
}

/** Uploads of which only the name was kept; what they held is in the replies. */
const knownFiles: Readonly<Record<string, string>> = {
  "x.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
  "x.html": "<p>x</p>",
  "x.json": "{}",
  "x.txt": "x",
};

/** A field, or a file that was recorded as `name (75 bytes)`. */
function appendNamed(form: FormData, key: string, value: string, side: number): void {
  const [, filename, length] = /^(.+) \((\d+) bytes\)$/.exec(value) ?? [];
  const known = knownFiles[value];
  if (known !== undefined) form.append(key, new Blob([known]), value);
  else if (filename === undefined) form.append(key, value);
  else {
    // The client of these recordings wrote slashes in file names that way.
    const bytes = new Uint8Array(fileBytes(Number(length), side));
    form.append(key, new Blob([bytes]), filename.replaceAll("/", "%2F"));
  }
}

/** Some file of that length: text when it is short, else a small picture with something behind its end. */
function fileBytes(length: number, side: number): Buffer {
  if (length < 70) return Buffer.from("hello".slice(0, length));
  const picture = encodePng(
    { width: side, height: side, rgb: new Uint8Array(side * side * 3).fill(length % 256) },
    new Map(),
    9,
  );
  return Buffer.concat([picture, Buffer.alloc(Math.max(0, length - picture.length))]);
}
