import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { expect, test } from "@jest/globals";
import express from "express";
import { type DoorParts } from "../door-parts.ts";
import { getWelcome } from "./welcome.ts";

test.each([
  ["https://studio.example/it's", '<a href="https://studio.example/it&#39;s/">'],
  [undefined, "PUBLIC_URL"],
])(
  "the page of the door leads to Genga's page at %s, or says what must be set",
  async (address, expected) => {
    const app = express().set("address of the page", address);
    app.get("/", async (request, response) => {
      const asked = { request, response } as Parameters<typeof getWelcome.handle>[0];
      await getWelcome.handle(asked, {} as DoorParts);
    });
    const server = createServer(app).listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      expect(await answer.text()).toContain(expected);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);
