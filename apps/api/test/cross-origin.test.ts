import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { findBrowser, openBrowser } from "@genga/testing";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { routes } from "../src/routes/table.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const key = "studio-key-0123456789";
let pages: Server;
let friend: string;
let stranger: string;
let api: ApiUnderTest;
let withKeys: string;

beforeAll(async () => {
  // One server, of which a browser thinks that it is two.
  pages = createServer((_request, response) => {
    response.setHeader("content-type", "text/html").end("<!doctype html><title>a page</title>");
  });
  pages.listen(0, "127.0.0.1");
  await once(pages, "listening");
  const { port } = pages.address() as AddressInfo;
  friend = `http://127.0.0.1:${port}`;
  stranger = `http://localhost:${port}`;
  api = await startApiUnderTest({ env: { CORS_ORIGINS: `https://other.example,${friend}` } });
  withKeys = (await api.startAnother({ API_KEYS: `studio:operate:${key}` })).url;
});
afterAll(async () => {
  pages.close();
  pages.closeAllConnections();
  await api.stop();
});

const corsHeaders = ({ headers }: Response): string[] =>
  [...headers.keys()].filter((name) => name.startsWith("access-control-"));

test("pages of other origins get no leave, unless their origin is allowed", async () => {
  const preflight = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
  };
  for (const origin of [stranger, "null", `${friend}.evil.example`, friend.toUpperCase()]) {
    const asked = await fetch(`${withKeys}/api/anime/jobs`, {
      method: "OPTIONS",
      headers: { origin, ...preflight },
    });
    expect([origin, asked.status, corsHeaders(asked)]).toEqual([origin, 401, []]);
    const read = await fetch(`${withKeys}/api/anime/health`, { headers: { origin } });
    expect([origin, read.status, corsHeaders(read), read.headers.get("vary")]).toEqual([
      origin,
      200,
      [],
      "Origin",
    ]);
  }
  const asked = await fetch(`${withKeys}/api/anime/jobs`, {
    method: "OPTIONS",
    headers: { origin: friend, ...preflight },
  });
  expect(asked.status).toBe(204);
  expect(asked.headers.get("access-control-allow-origin")).toBe(friend);
  expect(asked.headers.get("access-control-allow-headers")).toContain("Authorization");
  const methods = asked.headers.get("access-control-allow-methods")?.split(", ");
  expect(methods?.sort()).toEqual([...new Set(["HEAD", ...routes.map(({ method }) => method)])].sort());
  expect(methods).toContain("PATCH");
  // No page acts with what the browser knows of a person.
  expect(asked.headers.has("access-control-allow-credentials")).toBe(false);
  const refused = await fetch(`${withKeys}/api/anime/jobs`, { headers: { origin: friend } });
  expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, friend]);
});

test("without keys, pages of allowed origins may change something, and no others; foreign hosts are refused before", async () => {
  const job = JSON.stringify({ type: "image", prompt: "a cat" });
  const post = (origin: string): Promise<Response> =>
    fetch(`${api.url}/api/anime/generate`, {
      method: "POST",
      headers: { origin, "content-type": "application/json" },
      body: job,
    });
  expect((await post(friend)).status).toBe(202);
  expect((await post(stranger)).status).toBe(403);
});

const found = await findBrowser();
const inBrowser = "reason" in found ? test.skip : test;

inBrowser(
  `a browser shows the answers to the allowed page alone${"reason" in found ? ` (skipped: ${found.reason})` : ""}`,
  async () => {
    if ("reason" in found) return;
    const browser = await openBrowser(found);
    try {
      const page = await browser.newPage();
      const seenFrom = async (origin: string): Promise<string> => {
        await page.goto(origin);
        return page.evaluate(
          async ([url, apiKey]) => {
            const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
            const body = JSON.stringify({ type: "image", prompt: "a cat" });
            try {
              const response = await fetch(`${url}/api/anime/generate`, { method: "POST", headers, body });
              return `${response.status} ${response.headers.has("location")}`;
            } catch (error) {
              return (error as Error).name;
            }
          },
          [withKeys, key] as const,
        );
      };
      expect(await seenFrom(friend)).toBe("202 true");
      expect(await seenFrom(stranger)).toBe("TypeError");
    } finally {
      await browser.close();
    }
  },
);
