import { AddressError, type NamedServer, readComfyUIAddress } from "./comfyui-address.ts";

/** The origin (`https://gpu-3.example:8443`), or `undefined` if the text is more than one, or none. */
export function readOrigin(text: string): string | undefined {
  try {
    const { url, credentials } = readComfyUIAddress(text, undefined);
    return credentials === undefined && url === new URL(url).origin ? url : undefined;
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/**
 * The origins that the servers file lets each of its credentials be sent to: those that it lists with the credentials,
 * and those of its servers that have them.
 */
export function originsOfCredentials(
  listed: ReadonlyMap<string, readonly string[]>,
  servers: readonly NamedServer[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const origins = new Map([...listed].map(([name, texts]) => [name, new Set(texts)]));
  for (const { credential, address } of servers) {
    if (credential !== null) origins.get(credential)?.add(new URL(address.url).origin);
  }
  return origins;
}
