import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";

/**
 * Checks that the API's port is free, before other parts are started in vain.
 *
 * @throws Error that names the port, the process that holds it if the system shows it, and the setting PORT
 */
export async function requireFreePort(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    const holder = portHolder(port);
    const who = holder === undefined ? "another process" : `process ${holder.pid} (${holder.command})`;
    throw new Error(
      `Port ${port} of ${host} cannot be used: ${who} is there already. Stop it, or set PORT to another port ` +
        `(PORT=${port + 1} npm start).`,
      { cause: error },
    );
  } finally {
    server.close();
  }
}

/**
 * The process that listens on a TCP port of this machine; undefined if the system does not show it (only Linux does, in
 * /proc).
 */
export function portHolder(port: number): { pid: number; command: string } | undefined {
  try {
    const inodes = new Set(
      ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => listeningInodes(table, port)),
    );
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      if (holdsSocket(pid, inodes)) {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return { pid: Number(pid), command };
      }
    }
  } catch {
    // The system is not Linux, or /proc is hidden: the message then does not name the process.
  }
  return undefined;
}

/** Lines of /proc/net/tcp: number, local address as HEX:PORT, remote, state (0A = listening), …, inode as tenth field. */
function listeningInodes(table: string, port: number): string[] {
  const portHex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync(table, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === "0A" && local?.endsWith(`:${portHex}`))
    .flatMap((fields) => fields[9] ?? []);
}

function holdsSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((descriptor) => {
      const target = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
      return inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "");
    });
  } catch {
    return false; // another user's process, or one that has just ended
  }
}
