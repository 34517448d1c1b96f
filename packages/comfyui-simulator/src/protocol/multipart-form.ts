import { PythonError } from "../python/python-values.ts";

/** One part of a multipart body. A part with a file name is a file. */
export interface FormPart {
  readonly name: string;
  readonly filename: string | undefined;
  readonly bytes: Buffer;
}

const blankLine = Buffer.from("\r\n\r\n");

/**
 * Reads the fields of a form. Of several parts with one name the last one counts. A body of another media type has no
 * fields.
 * @throws PythonError for a multipart body without the boundary that its header names
 */
export function readForm(contentType: string, body: Buffer): ReadonlyMap<string, FormPart> {
  const parts = new Map<string, FormPart>();
  const type = contentType.split(";")[0]?.trim().toLowerCase();
  if (type === "application/x-www-form-urlencoded") {
    for (const [name, value] of new URLSearchParams(body.toString("utf8"))) {
      parts.set(name, { name, filename: undefined, bytes: Buffer.from(value) });
    }
  }
  if (type !== "multipart/form-data") return parts;
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const mark = Buffer.from(`--${boundary?.[1] ?? boundary?.[2] ?? ""}`);
  if (!boundary || !body.includes(mark))
    throw new PythonError("ValueError", "Could not find starting boundary");
  for (let from = body.indexOf(mark); from >= 0;) {
    const start = from + mark.length;
    const end = body.indexOf(mark, start);
    if (end < 0) break;
    const part = readPart(body.subarray(start + 2, end - 2));
    if (part) parts.set(part.name, part);
    from = end;
  }
  return parts;
}

function readPart(part: Buffer): FormPart | undefined {
  const head = part.indexOf(blankLine);
  if (head < 0) return undefined;
  const headers = part.subarray(0, head).toString("utf8");
  const disposition = /^content-disposition:\s*form-data;(.*)$/im.exec(headers)?.[1] ?? "";
  const name = parameter(disposition, "name");
  if (name === undefined) return undefined;
  // Leading slashes are dropped; a part whose name is empty is text.
  const filename = parameter(disposition, "filename")?.replace(/^[\\/]+/, "");
  const bytes = part.subarray(head + blankLine.length);
  return { name, filename: filename === "" ? undefined : filename, bytes };
}

function parameter(disposition: string, key: string): string | undefined {
  const found = new RegExp(`[;\\s]${key}="((?:[^"\\\\]|\\\\.)*)"`, "i").exec(disposition)?.[1];
  return found?.replace(/\\(.)/g, "$1").replaceAll("%22", '"');
}
