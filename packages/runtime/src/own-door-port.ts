import { isLoopback } from "./comfyui-address.ts";
import { ConfigurationError, type Configuration } from "./configuration.ts";
import { parseUrl } from "./parse-url.ts";

/** Refuses a door for ComfyUI's clients on the port of a server of this machine: clients would reach the one or the other. */
export function requireOwnDoorPort({
  comfyuiDoorPort: port,
  comfyuiServers,
}: Pick<Configuration, "comfyuiDoorPort" | "comfyuiServers">): void {
  const same = comfyuiServers.find(({ url }) => {
    const address = parseUrl(url);
    return address !== null && isLoopback(address.hostname) && portOf(address) === port;
  });
  if (same === undefined) return;
  throw new ConfigurationError(
    `COMFYUI_DOOR_PORT is ${port}, the port of the server ${same.url} of COMFYUI_URLS. ` +
      "Give the door another port, or start that server on another one and change COMFYUI_URLS.",
  );
}

function portOf({ port, protocol }: URL): number {
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
}
