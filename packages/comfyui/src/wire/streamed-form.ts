import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";

/** A `multipart/form-data` body whose file is read while it is sent. Its length is known before. */
export class StreamedForm {
  readonly headers: Record<string, string>;
  readonly body: Readable;

  /**
   * @param file.body has exactly `file.bytes` bytes
   * @param fields names and values, without quotes and line breaks
   */
  constructor(
    file: { field: string; filename: string; mediaType: string; bytes: number; body: Readable },
    fields: Readonly<Record<string, string>>,
  ) {
    const boundary = `genga-${randomUUID()}`;
    const part = (disposition: string, more = ""): string =>
      `--${boundary}\r\ncontent-disposition: form-data; ${disposition}\r\n${more}\r\n`;
    const before =
      Object.entries(fields)
        .map(([name, value]) => `${part(`name="${name}"`)}${value}\r\n`)
        .join("") +
      part(`name="${file.field}"; filename="${file.filename}"`, `content-type: ${file.mediaType}\r\n`);
    const after = `\r\n--${boundary}--\r\n`;
    this.headers = {
      "content-type": `multipart/form-data; boundary=${boundary}`,
      "content-length": String(Buffer.byteLength(before) + file.bytes + Buffer.byteLength(after)),
    };
    this.body = Readable.from(joined(before, file.body, after), { objectMode: false });
    // A body that is never read must not keep the file open.
    this.body.once("close", () => file.body.destroy());
  }
}

async function* joined(before: string, body: Readable, after: string): AsyncGenerator<Buffer> {
  yield Buffer.from(before);
  for await (const chunk of body) yield chunk as Buffer;
  yield Buffer.from(after);
}
