import { createReadStream } from "node:fs";
import { createBLAKE3 } from "hash-wasm";

/** The BLAKE3 of a file, which is read piece by piece: lowercase hex. */
export async function blake3Of(path: string): Promise<string> {
  const hasher = await createBLAKE3();
  hasher.init();
  for await (const piece of createReadStream(path)) hasher.update(piece as Buffer);
  return hasher.digest("hex");
}
