import { unpackDefinitions } from "@genga/comfyui";
import { packDefinitions, readStored } from "@genga/comfyui/definitions";
import { type ServerStore } from "@genga/jobs";
import { type HashedDefinitions } from "./definitions-thread.ts";

/**
 * Reads stored definitions in this thread, whose event loop may be held up by it.
 * @returns null if nothing is stored under the hash @throws StoreUnavailableError
 */
export async function findDefinitions(
  hash: string,
  servers: Pick<ServerStore, "findDefinitions">,
): Promise<HashedDefinitions | null> {
  const stored = await servers.findDefinitions(hash);
  return stored === null ? null : { hash, ...unpackDefinitions(packDefinitions(readStored(stored))) };
}
