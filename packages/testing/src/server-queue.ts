import { on } from "node:events";
import { WebSocket } from "ws";

/** Resolves when a server, by its own socket, says that it has nothing to do. @param url of the server, without a path */
export async function untilServerIsIdle(url: string): Promise<void> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws?clientId=watcher`);
  try {
    for await (const [data] of on(socket, "message") as AsyncIterable<[Buffer]>) {
      if (/"queue_remaining":\s*0\b/.test(data.toString("utf8"))) return;
    }
  } finally {
    socket.close();
  }
}
