import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { findBrowser, openBrowser } from "@genga/testing";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Browser, type Page } from "playwright-core";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const found = await findBrowser();
const described = "reason" in found ? describe.skip : describe;
const title = `the settings in Chromium${"reason" in found ? ` (skipped: ${found.reason})` : ""}`;
const operatorKey = "operator-key-0123456789abcdef";
const artistKey = "artist-key-0123456789abcdef";

described(title, () => {
  let api: ApiUnderTest;
  let browser: Browser;
  let receiver: Server;
  let hook: string;
  let received = 0;
  let page: Page;

  beforeAll(async () => {
    if ("reason" in found) return;
    receiver = createServer((request, response) => {
      received += 1;
      request.resume();
      response.end();
    }).listen(0, "127.0.0.1");
    await once(receiver, "listening");
    hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/genga`;
    [api, browser] = await Promise.all([
      startApiUnderTest({
        env: {
          ...{ API_KEYS: `studio:operate:${operatorKey},studio:submit:${artistKey}` },
          SECRETS_KEY: "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=",
          ...{ WEBHOOKS_ALLOW_HTTP: "true", WEBHOOKS_ALLOW_NETWORKS: "127.0.0.1/32" },
        },
      }),
      openBrowser(found),
    ]);
    page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
    await page.goto(`${api.url}/settings/webhooks`);
    await page.getByLabel("API key").fill(operatorKey);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("textbox", { name: "URL" }).waitFor();
  }, 180_000);
  afterAll(async () => {
    await browser.close();
    await api.stop();
    receiver.close();
    receiver.closeAllConnections();
  });

  test("a webhook's secret is rotated, and a delivery sent again", async () => {
    await page.getByRole("textbox", { name: "URL" }).fill(hook);
    await page.getByRole("button", { name: "Add the webhook" }).click();
    const told = page.getByRole("dialog").getByText(/^whsec_/);
    const first = await told.textContent();
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("button", { name: `Rotate the secret: ${hook}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Rotate the secret" }).dblclick();
    await told.waitFor();
    expect(await told.textContent()).not.toBe(first);
    await page.getByRole("button", { name: "I have it" }).click();

    await page.getByRole("button", { name: "Show the deliveries" }).click();
    await page.getByRole("button", { name: `Send a test: ${hook}` }).click();
    const deliveries = page.getByRole("row").filter({ hasText: "delivered" });
    await deliveries.first().waitFor();
    expect(received).toBe(1);
    await page.getByRole("button", { name: "Send again" }).click();
    await page.getByRole("cell", { name: "2", exact: true }).waitFor();
    expect(received).toBe(2);
  }, 180_000);

  test("somebody else's session is ended, and one's own is not offered", async () => {
    const headers = { "content-type": "application/json", "x-genga-page": "1", origin: api.url };
    const body = JSON.stringify({ apiKey: artistKey });
    const signedIn = await fetch(`${api.url}/api/anime/session`, { method: "POST", headers, body });
    const cookie = signedIn.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const status = async (): Promise<number> =>
      (await fetch(`${api.url}/api/anime/jobs`, { headers: { cookie } })).status;
    expect(await status()).toBe(200);
    await page.goto(`${api.url}/settings/sessions`);
    await page.getByText("This one").waitFor();
    await page.getByRole("button", { name: /^End the session of/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End the session" }).dblclick();
    await page.getByRole("button", { name: /^End the session of/ }).waitFor({ state: "detached" });
    expect(await status()).toBe(401);
    expect(await page.getByText("This one").count()).toBe(1);
  }, 180_000);

  test("limits are set, refused at their field, and hold", async () => {
    await page.goto(`${api.url}/settings/limits`);
    const waiting = page.getByRole("textbox", { name: "Waiting jobs" });
    await waiting.fill("-4");
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator("[aria-invalid=true]").waitFor();
    await waiting.fill("3");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    await page.reload();
    await page.getByText("Holds now: 3", { exact: true }).waitFor();
    expect(await waiting.inputValue()).toBe("3");
  }, 180_000);
});
