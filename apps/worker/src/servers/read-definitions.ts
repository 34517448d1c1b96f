import { createHash } from "node:crypto";
import { type ComfyUIConnector, ComfyUIError } from "@genga/comfyui";

const timeoutMs = 30_000;

/** A server's answers, not parsed yet. */
export interface DefinitionsRead {
  /** The hash of the answers' bytes. Equal hashes mean that nothing has changed, not even a list of files. */
  textHash: string;
  answers: { objectInfo: Uint8Array<ArrayBuffer>; replacements: Uint8Array<ArrayBuffer> | null };
}

/** Asks a server for its definitions. @throws ComfyUIError */
export async function readDefinitions(
  connector: ComfyUIConnector,
  { replacesNodes, signal }: { replacesNodes: boolean; signal: AbortSignal },
): Promise<DefinitionsRead> {
  const objectInfo = await connector.readBytes("/object_info", { timeoutMs, signal });
  const replacements = replacesNodes ? await readReplacements(connector, signal) : null;
  const hash = createHash("sha256").update(objectInfo);
  if (replacements !== null) hash.update("\0").update(replacements);
  return { textHash: hash.digest("hex"), answers: { objectInfo, replacements } };
}

/** A server that announces the route but does not have it replaces no nodes. */
async function readReplacements(
  connector: ComfyUIConnector,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    return await connector.readBytes("/node_replacements", { timeoutMs, signal });
  } catch (error) {
    if (error instanceof ComfyUIError && error.code === "request_refused") return null;
    throw error;
  }
}
