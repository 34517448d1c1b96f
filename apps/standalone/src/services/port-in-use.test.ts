import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "@jest/globals";
import { portHolder, requireFreePort } from "./port-in-use.ts";

test("a port in use is refused with who holds it and the setting to change; a free one is not", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await expect(requireFreePort("127.0.0.1", port)).rejects.toThrow(
    new RegExp(`Port ${port} of 127.0.0.1 cannot be used: .* is there already.*set PORT`),
  );
  if (process.platform === "linux") expect(portHolder(port)).toMatchObject({ pid: process.pid });
  server.close();
  await once(server, "close");
  await requireFreePort("127.0.0.1", port);
  expect(portHolder(port)).toBeUndefined();
  await requireFreePort("127.0.0.1", 0);
});
