import { createHash } from "node:crypto";
import { type ComfyUIConnector, ComfyUIError } from "@genga/comfyui";
import { type DefinitionsAnswers } from "@genga/workflows";

const timeoutMs = 30_000;

/**
 * Asks a server for its definitions, and does not parse them. Equal hashes mean that nothing has changed, not even a list
 * of files. @throws ComfyUIError
 */
export async function readDefinitions(
  connector: ComfyUIConnector,
  { replacesNodes, signal }: { replacesNodes: boolean; signal: AbortSignal },
): Promise<DefinitionsAnswers> {
  const objectInfo = await connector.readBytes("/object_info", { timeoutMs, signal });
  const replacements = replacesNodes ? await readReplacements(connector, signal) : null;
  const hash = createHash("sha256").update(objectInfo);
  if (replacements !== null) hash.update("\0").update(replacements);
  return { textHash: hash.digest("hex"), objectInfo, replacements };
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
