import { randomUUID } from "node:crypto";
import { mkdir, open, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

const bufferBytes = 64 * 1024;

/**
 * What is written first and read once afterwards, on disk instead of in memory. The file has no name any more once it is
 * open, so nothing of it stays, however the process ends.
 */
export class Spool {
  readonly #file: FileHandle;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #bytes = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async open(folder: string): Promise<Spool> {
    await mkdir(folder, { recursive: true });
    const path = join(folder, randomUUID());
    const file = await open(path, "wx+", 0o600);
    await unlink(path);
    return new Spool(file);
  }

  get bytes(): number {
    return this.#bytes;
  }

  async write(content: string | Buffer): Promise<void> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#bytes += bytes.length;
    if (this.#pendingBytes >= bufferBytes) await this.#flush();
  }

  /** Everything that was written, from the begin. */
  async *read(): AsyncGenerator<Buffer> {
    await this.#flush();
    for (let position = 0; position < this.#bytes;) {
      const buffer = Buffer.allocUnsafe(Math.min(bufferBytes, this.#bytes - position));
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw new Error("A temporary file is shorter than what was written to it.");
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const content = Buffer.concat(this.#pending);
    [this.#pending, this.#pendingBytes] = [[], 0];
    if (content.length > 0) await this.#file.appendFile(content);
  }
}
