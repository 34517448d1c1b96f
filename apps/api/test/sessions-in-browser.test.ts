import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { findBrowser, openBrowser } from "@genga/testing";
import { expect, test } from "@jest/globals";
import { startApiUnderTest } from "./api-under-test.ts";
import { artist, configured, as } from "./session-requests.ts";

const found = await findBrowser();
const inBrowser = "reason" in found ? test.skip : test;

inBrowser(
  `a page at another port gets nothing by a browser's session${"reason" in found ? ` (skipped: ${found.reason})` : ""}`,
  async () => {
    if ("reason" in found) return;
    const studio = await startApiUnderTest({ env: { API_KEYS: configured } });
    const pages = createServer((request, response) => {
      const to = new URL(request.url ?? "", "http://x").searchParams.get("to");
      const form = `<form method="post" enctype="text/plain" action="${to}">
        <input name='{"type":"image","prompt":"a dog","tags":["' value='"]}'></form><script>document.forms[0].submit()</script>`;
      response
        .setHeader("content-type", "text/html")
        .end(`<!doctype html><title>a page</title>${to === null ? "" : form}`);
    });
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    const browser = await openBrowser(found);
    try {
      const page = await browser.newPage();
      await page.goto(`${studio.url}/docs`);
      const seen = await page.evaluate(async (apiKey) => {
        const headers = { "content-type": "application/json", "x-genga-page": "1" };
        const post = (path: string, body: object): Promise<Response> =>
          fetch(`/api/anime/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
        const signedIn = await post("session", { apiKey });
        const job = await post("generate", { type: "image", prompt: "a cat" });
        const who = (await (await fetch("/api/anime/session")).json()) as { role: string };
        return [signedIn.status, job.status, who.role];
      }, artist);
      expect(seen).toEqual([201, 202, "submit"]);
      const cookie = { name: "genga_session", httpOnly: true, sameSite: "Strict", path: "/" };
      expect(await page.context().cookies()).toMatchObject([cookie]);

      // Ports belong to one site, so the browser sends the cookie along in spite of SameSite=Strict.
      const elsewhere = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
      await page.goto(elsewhere);
      const taken = await page.evaluate(async (url) => {
        const nameOf = (error: unknown): string => (error as Error).name;
        const body = JSON.stringify({ type: "image", prompt: "a dog" });
        const ask = (
          mode: "cors" | "no-cors",
          method: string,
          headers: Record<string, string>,
        ): Promise<string> =>
          fetch(`${url}/api/anime/${method === "GET" ? "queue" : "generate"}`, {
            ...{ method, mode, headers, credentials: "include" },
            ...(method === "POST" && { body }),
          }).then((response) => response.type, nameOf);
        return [
          await ask("no-cors", "POST", { "content-type": "text/plain" }),
          await ask("cors", "POST", { "content-type": "application/json", "x-genga-page": "1" }),
          await ask("no-cors", "GET", {}),
          await ask("cors", "GET", {}),
        ];
      }, studio.url);
      expect(taken).not.toContain("basic");
      await page.goto(
        `${elsewhere}/form?${new URLSearchParams({ to: `${studio.url}/api/anime/generate` }).toString()}`,
      );
      await page.waitForURL(/generate$/);
      expect(await page.textContent("body")).toContain("origin-not-allowed");
      const said = studio.logged.join("\n");
      expect(said.match(/"POST \/api\/anime\/generate 403"/g)).toHaveLength(2);
      expect(said).toContain("GET /api/anime/queue 401");
      const jobs = await studio.request("jobs", { headers: as(artist) });
      expect(((await jobs.json()) as { jobs: unknown[] }).jobs).toHaveLength(1);
    } finally {
      await browser.close();
      pages.close();
      pages.closeAllConnections();
      await studio.stop();
    }
  },
);
