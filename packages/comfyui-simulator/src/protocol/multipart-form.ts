/** One part of a multipart body. A part with a file name is a file. */
export interface FormPart {
  readonly name: string;
  readonly filename: string | undefined;
  readonly bytes: Buffer;
}

const BLANK_LINE = Buffer.from("\r\n\r\n");

/** Reads a multipart body; the last part of a name counts. A body that is not multipart has no parts. */
export function readForm(contentType: string, body: Buffer): ReadonlyMap<string, FormPart> {
  const parts = new Map<string, FormPart>();
  const boundary = /^multipart\/form-data\s*;.*\bboundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  if (!boundary) return parts;
  const mark = Buffer.from(`--${boundary[1] ?? boundary[2] ?? ""}`);
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
  const head = part.indexOf(BLANK_LINE);
  if (head < 0) return undefined;
  const headers = part.subarray(0, head).toString("utf8");
  const disposition = /^content-disposition:\s*form-data;(.*)$/im.exec(headers)?.[1] ?? "";
  const name = parameter(disposition, "name");
  if (name === undefined) return undefined;
  return {
    name,
    filename: parameter(disposition, "filename"),
    bytes: part.subarray(head + BLANK_LINE.length),
  };
}

function parameter(disposition: string, key: string): string | undefined {
  const found = new RegExp(`[;\\s]${key}="((?:[^"\\\\]|\\\\.)*)"`, "i").exec(disposition)?.[1];
  return found?.replace(/\\(.)/g, "$1").replaceAll("%22", '"');
}
