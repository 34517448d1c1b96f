import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

/**
 * Returns the wished port of 127.0.0.1 if it is free, else a free port that the system picks. Another process may take
 * the port before the caller uses it.
 */
export async function freePort(wished?: number): Promise<number> {
  if (wished !== undefined && (await canListen(wished))) return wished;
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** True if this process could listen on that port of 127.0.0.1 at this moment. */
export async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
