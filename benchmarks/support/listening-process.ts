import { readdir, readFile, readlink } from "node:fs/promises";

/**
 * The process on this machine that listens on the port of this URL.
 * @returns null when the URL is of another machine, when nothing listens there, or where there is no `/proc`
 */
export async function processListeningOn(url: string): Promise<number | null> {
  const { hostname, port } = new URL(url);
  if (!["127.0.0.1", "localhost", "[::1]"].includes(hostname)) return null;
  const socket = await listeningSocket(Number(port));
  if (socket === null) return null;
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end meanwhile, and those of other users cannot be read.
    const files = await readdir(`/proc/${name}/fd`).catch(() => []);
    for (const file of files) {
      const target = await readlink(`/proc/${name}/fd/${file}`).catch(() => "");
      if (target === `socket:[${socket}]`) return Number(name);
    }
  }
  return null;
}

/** The inode of the socket: `proc_net(5)`; state 0A is LISTEN. */
async function listeningSocket(port: number): Promise<string | null> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const lines = (await readFile(table, "utf8").catch(() => "")).split("\n");
    for (const line of lines) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${hex}`) === true && fields[3] === "0A") return fields[9] ?? null;
    }
  }
  return null;
}
