import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { findBrowser, openBrowser } from "@genga/testing";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Browser, type BrowserContext, type Page } from "playwright-core";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const found = await findBrowser();
const described = "reason" in found ? describe.skip : describe;
const title = `the pages of the dashboard in Chromium${"reason" in found ? ` (skipped: ${found.reason})` : ""}`;

const attack = [
  ...["<script>window.attacked = true</script>", '<img src=x onerror="window.attacked = true">'],
  ...['"><svg onload=window.attacked=true>', "javascript:window.attacked=true", "{{7*7}}${7*7}"],
  ...["\u0007\u001b[31m\u200b", "\u202eshown backwards\u202c"],
].join(" ");
const failure = {
  class: "execution",
  code: "node-failed",
  message: attack,
  nodeId: "3",
  nodeType: "<b>KSampler</b>",
} as const;
const operatorKey = "operator-key-0123456789abcdef";
const readerKey = "reader-key-0123456789abcdef";

described(title, () => {
  let api: ApiUnderTest;
  /** Another API over the same database, which needs a key. */
  let guarded: { readonly url: string };
  let browser: Browser;
  let views: readonly string[];

  beforeAll(async () => {
    if ("reason" in found) return;
    [api, browser] = await Promise.all([
      startApiUnderTest({ env: { SECRETS_KEY: "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=" } }),
      openBrowser(found),
    ]);
    guarded = await api.startAnother({
      API_KEYS: `studio:operate:${operatorKey},studio:read:${readerKey}`,
    });
    views = await hostileContent(api);
  }, 180_000);
  afterAll(async () => {
    await browser.close();
    await api.stop();
  });

  test("hostile texts do nothing on any view, and move none of it aside", async () => {
    const seen: string[] = [];
    const { page, context } = await open(browser, { onSeen: (text) => seen.push(text) });
    const wide: string[] = [];
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      for (const view of views) {
        await show(page, `${api.url}${view}`);
        if (await page.evaluate("window.attacked === true")) seen.push(`${view}: a script ran`);
        const beyond = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
        if (Number(beyond) > 0) wide.push(`${view} at ${width}: ${String(beyond)} pixels`);
      }
    }
    await context.close();
    expect(seen).toEqual([]);
    expect(wide).toEqual([]);
  }, 180_000);

  test.each(["light", "dark"] as const)(
    "axe finds no serious issue on any view (%s)",
    async (scheme) => {
      const { page, context } = await open(browser, { scheme });
      const issues: string[] = [];
      for (const view of views) {
        await show(page, `${api.url}${view}`);
        issues.push(...(await seriousIssues(page)).map((issue) => `${view}: ${issue}`));
      }
      await context.close();
      expect(issues).toEqual([]);
    },
    180_000,
  );

  // While no key was made, none is needed.
  test("a picture of one job is the first image of another", async () => {
    const { page, context } = await open(browser);
    const made = views.find((view) => view.startsWith("/jobs/"))!;
    await show(page, `${api.url}${made}`);
    await page.getByRole("link", { name: /^Begin another image with photo/ }).click();
    await page.waitForURL(`${api.url}/create`);
    const id = made.slice("/jobs/".length);
    expect(await page.getByRole("textbox", { name: "Job", exact: true }).inputValue()).toBe(id);
    await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("the same, at night");
    await page.getByRole("button", { name: "Submit" }).click();
    await page.waitForURL(/\/jobs\/[^/]+$/);
    const next = page.url().split("/").at(-1)!;
    const { parameters } = (await (await api.request(`jobs/${next}/parameters`)).json()) as {
      parameters: object;
    };
    expect(parameters).toMatchObject({
      prompt: "the same, at night",
      initImage: { from: id, output: 2 },
    });

    // Typed by hand, an address will do; without a job it is refused at the field.
    await page.goto(`${api.url}/create`);
    await page.getByRole("button", { name: "Clear the form" }).click();
    await page.getByRole("button", { name: "Take an output of another job instead" }).first().click();
    await page.getByRole("button", { name: "Only check" }).click();
    await page.locator("input[aria-invalid=true]:focus").waitFor();
    const job = page.getByRole("textbox", { name: "Job", exact: true });
    await job.fill(`${api.url}${made}`);
    expect(await job.inputValue()).toBe(id);
    await context.close();
  }, 180_000);

  test("a graph is saved as a template, whose form is then shown", async () => {
    const { page, context } = await open(browser);
    await show(page, `${api.url}/create?kind=workflow`);
    const opener = page.getByRole("button", { name: "Save the graph as a template" });
    expect(await opener.isDisabled()).toBe(true);
    const inputs = { width: 512, height: 768, batch_size: 1, color: 0 };
    const graph = {
      "1": { class_type: "EmptyImage", inputs },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "card" } },
    };
    await page.getByLabel("Graph in API format").fill(JSON.stringify(graph));
    await opener.click();
    await page.getByRole("checkbox", { name: "width" }).waitFor();
    await page.getByRole("checkbox", { name: "height" }).uncheck();
    expect(await seriousIssues(page)).toEqual([]);
    const name = page.getByRole("textbox", { name: "Name" });
    await name.fill("No Name");
    await page.getByRole("button", { name: "Save the template" }).click();
    await page.locator("input[aria-invalid=true]").waitFor();
    await name.fill("postcard");
    await page.getByRole("button", { name: "Save the template" }).click();
    await page.waitForURL(/kind=template&template=postcard/);
    await page.getByLabel("width", { exact: true }).waitFor();
    expect(await page.getByLabel("height", { exact: true }).count()).toBe(0);

    // Under the same name it is the next version.
    await show(page, `${api.url}/create?kind=workflow`);
    await opener.click();
    await name.fill("postcard");
    await page.getByRole("button", { name: "Save the template" }).click();
    await page.getByRole("button", { name: "Store it as its next version" }).click();
    await page.getByText("Version 2.", { exact: true }).waitFor();
    await context.close();
  }, 180_000);

  test("a job names a webhook of its own, whose secret the browser does not keep", async () => {
    const { page, context } = await open(browser);
    await show(page, `${api.url}/create`);
    await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a webhook's own");
    const group = page.getByRole("button", { name: "Webhook" });
    await group.click();
    const url = page.getByRole("textbox", { name: "Webhook", exact: true });
    const secret = page.getByRole("textbox", { name: "Its secret" });
    await url.fill("no address");
    await page.getByRole("button", { name: "Draw a secret" }).click();
    expect(await secret.inputValue()).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    await page.getByRole("button", { name: "Only check" }).click();
    await page.locator("[aria-invalid=true]:focus").waitFor();
    await url.fill("https://hooks.example.com/genga");
    expect(await seriousIssues(page)).toEqual([]);

    await page.reload();
    await group.click();
    expect([await url.inputValue(), await secret.inputValue()]).toEqual([
      "https://hooks.example.com/genga",
      "",
    ]);
    await page.getByRole("button", { name: "Draw a secret" }).click();
    await page.getByRole("button", { name: "Submit" }).click();
    await page.waitForURL(/\/jobs\/[^/]+$/);
    const webhook = await api.request(`webhooks/${page.url().split("/").at(-1)!}`);
    expect(await webhook.json()).toMatchObject({ scope: "job", url: "https://hooks.example.com/genga" });
    await context.close();
  }, 180_000);

  test("keys and webhooks are made, changed and removed in the settings", async () => {
    const { page, context } = await open(browser);
    await signIn(page, `${guarded.url}/settings/keys`, operatorKey);
    await page.getByRole("textbox", { name: "Name" }).fill("tablet");
    await page.getByRole("button", { name: "Add the key" }).click();
    const told = page.getByRole("dialog", { name: "The key tablet" });
    const key = (await told.locator("pre").textContent()) ?? "";
    const asked = (): Promise<Response> =>
      fetch(`${guarded.url}/api/anime/jobs`, { headers: { authorization: `Bearer ${key}` } });
    expect((await asked()).status).toBe(200);
    await told.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("button", { name: "Revoke tablet" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("No keys").waitFor();
    expect((await asked()).status).toBe(401);

    await show(page, `${guarded.url}/settings/webhooks`);
    await page.getByRole("textbox", { name: "URL" }).fill("no address");
    await page.getByRole("button", { name: "Add the webhook" }).click();
    await page.locator("[aria-invalid=true]").waitFor();
    await page.getByRole("textbox", { name: "URL" }).fill("https://hooks.example.com/genga");
    await page.getByRole("button", { name: "Add the webhook" }).click();
    await page
      .getByRole("dialog")
      .getByText(/^whsec_/)
      .waitFor();
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("button", { name: "Turn off: https://hooks.example.com/genga" }).click();
    await page.getByRole("button", { name: "Turn on: https://hooks.example.com/genga" }).waitFor();
    await page.getByRole("button", { name: "Remove: https://hooks.example.com/genga" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("https://hooks.example.com/genga", { exact: true }).waitFor({ state: "detached" });

    // Both were recorded, under the name of the key that was used.
    await show(page, `${guarded.url}/settings/audit`);
    await page.getByRole("cell", { name: "key revoked" }).waitFor();
    await context.close();
  }, 180_000);

  test("servers are added and removed where they are shown, with where they come from and their memory", async () => {
    const { page, context } = await open(browser);
    await signIn(page, `${guarded.url}/servers`, operatorKey);
    const named = page.getByRole("article").filter({ hasText: "http://comfyui.test:8188" });
    await named.getByText("3.0 GB of 24 GB free").waitFor();
    await named.getByText("COMFYUI_URLS").waitFor();
    expect(await named.getByRole("button", { name: "Remove" }).count()).toBe(0);

    const opener = page.getByRole("button", { name: "Add a server" });
    await opener.click();
    const url = page.getByRole("textbox", { name: "URL" });
    const submit = page.getByRole("button", { name: "Add the server" });
    await url.fill("http://user:s3cret@gpu-3");
    await page.getByLabel("Credentials").selectOption({ label: "Token (Bearer)" });
    await page.getByLabel("Token", { exact: true }).fill("t0ken-of-the-gateway");
    expect(await seriousIssues(page)).toEqual([]);
    await submit.click();
    // What was refused has the focus, and what was typed is still there.
    await page.locator("input[type=url][aria-invalid=true]:focus").waitFor();
    await url.fill("https://gpu-3.example");
    await page.getByLabel("Labels").first().fill("gpu:24gb");
    await page.keyboard.press("Enter");
    await submit.click();
    const added = page.getByRole("article").filter({ hasText: "https://gpu-3.example" });
    await added.getByText("an operator").waitFor();
    await added.getByText("gpu:24gb").waitFor();
    expect(await opener.getAttribute("aria-expanded")).toBe("false");
    await opener.click();
    expect(await url.inputValue()).toBe("");
    await url.fill("https://gpu-3.example/");
    await submit.click();
    await page.getByRole("alert").getByText("A source names the server already").waitFor();

    await added.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await added.waitFor({ state: "detached" });
    const reader = await open(browser);
    await signIn(reader.page, `${guarded.url}/servers`, readerKey);
    await reader.page.getByRole("article").first().waitFor();
    expect(await reader.page.getByRole("button", { name: /^(Add|Remove)/ }).count()).toBe(0);
    await reader.context.close();
    await context.close();
  }, 180_000);

  test("a wrong key says so, the right one signs in, and the browser keeps no key", async () => {
    const { page, context } = await open(browser);
    await page.goto(`${guarded.url}/settings/about`);
    const key = page.getByLabel("API key");
    await key.fill("a-wrong-key-0123456789abcdef");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await key.fill(operatorKey);
    await page.getByRole("button", { name: "Sign in" }).click();
    // The address that was asked for is opened, in its role.
    await page.waitForURL(`${guarded.url}/settings/about`);
    await page.getByText("may operate").waitFor();
    await page.getByRole("tab", { name: "API keys" }).waitFor();
    const kept = await page.evaluate<string>(
      "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])",
    );
    expect(kept).not.toContain(operatorKey);
    const cookies = await context.cookies();
    expect(cookies).toMatchObject([{ name: "genga_session", httpOnly: true, sameSite: "Strict" }]);
    expect(JSON.stringify(cookies)).not.toContain(operatorKey);

    await page.getByRole("button", { name: "studio" }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.waitForURL(/\/sign-in/);
    await key.fill(readerKey);
    await page.getByRole("button", { name: "Sign in" }).click();
    // What a reader may not do is not shown.
    await page.getByRole("link", { name: "Jobs", exact: true }).waitFor();
    expect(await page.getByRole("link", { name: "Create" }).count()).toBe(0);
    await context.close();
  }, 180_000);
});

interface AxeIssue {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string }[];
}

/** What axe finds on the page as it is now. */
async function seriousIssues(page: Page): Promise<string[]> {
  const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  await page.evaluate(await readFile(axe, "utf8"));
  const { violations } = await page.evaluate<{ violations: AxeIssue[] }>("axe.run()");
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => {
      const places = nodes.slice(0, 3).map(({ html }) => html.slice(0, 200));
      return `${id}: ${places.join(" | ")}`;
    });
}

/** Jobs, a batch, a template, a server and a webhook whose texts are attacks. @returns the addresses of all views */
async function hostileContent(api: ApiUnderTest): Promise<string[]> {
  const serverId = await api.worker.registerServer(
    "http://comfyui.test:8188",
    await recordedDefinitions("core"),
  );
  const label = attack.replaceAll("\u0000", "").slice(0, 100);
  const labels = {
    project: label,
    scene: label,
    shot: label,
    tags: [attack.slice(0, 64), attack.slice(64, 128)],
  };
  const job = { type: "image", prompt: attack, negativePrompt: attack, ...labels };
  const long = { type: "image", prompt: "x".repeat(10_000), project: "y".repeat(100) };
  const batch = { name: attack.slice(0, 200), jobs: [{ ...job, key: attack.slice(0, 64) }, long, job, job] };
  const answer = await api.post("batches", batch);
  const accepted = (await answer.json()) as { id: string; jobs: { id: string }[] };
  const [made, , failed, running] = accepted.jobs.map(({ id }) => id);
  const html = Buffer.from(`<html><body>${attack}</body></html>`);
  const svg = Buffer.from(
    '<svg xmlns="http://www.w3.org/2000/svg"><script>window.attacked = true</script></svg>',
  );
  await api.worker.complete(
    await api.worker.claim(made!, serverId),
    [
      { filename: "<img src=x onerror=window.attacked=true>.html", body: html, mediaType: "text/html" },
      { filename: `${"z".repeat(200)}.svg`, body: svg, mediaType: "image/svg+xml" },
      { filename: "photo_\u202egnp.exe", body: html, mediaType: "image/png" },
    ],
    [attack, "w".repeat(10_000)],
  );
  await api.worker.end(await api.worker.claim(failed!, serverId), { kind: "failed", failure });
  const leased = await api.worker.claim(running!, serverId);
  await api.worker.report(leased, "executing", {
    percent: 40,
    node: "3",
    nodeTitle: attack,
    step: 4,
    steps: 10,
  });
  await addTemplate(api);
  const server = {
    url: "https://gpu-9.example/%3Cscript%3E",
    labels: ["gpu:24gb"],
    credential: "a".repeat(64),
  };
  expect((await api.post("servers", server)).status).toBe(201);
  const webhook = await api.post("webhooks", {
    url: "https://example.com/%3Cscript%3E?x=<script>window.attacked=true</script>",
  });
  expect(webhook.status).toBe(201);
  const jobs = accepted.jobs.map(({ id }) => `/jobs/${id}`);
  return [
    ...["/", "/jobs", `/jobs?text=${encodeURIComponent(attack.slice(0, 60))}`, ...jobs],
    ...["/batches", `/batches/${accepted.id}`, `/batches/${accepted.id}?part=chains`, "/servers", "/queue"],
    ...[
      "/create",
      "/create?kind=video&sweep=true",
      "/create?kind=template&template=odd",
      "/create?kind=workflow",
      `/create?image=${made}.2`,
    ],
    ...["webhooks", "keys", "sessions", "limits", "audit", "retention", "about"].map(
      (name) => `/settings/${name}`,
    ),
  ];
}

async function addTemplate(api: ApiUnderTest): Promise<void> {
  const response = await api.post("templates", {
    ...{ name: "odd", description: attack },
    workflow: {
      "1": { class_type: "EmptyImage", inputs: { width: 512, height: 512, batch_size: 1, color: 0 } },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "card" } },
    },
    parameters: {
      color: {
        ...{ type: "integer", label: attack.slice(0, 100), description: attack, min: 0 },
        targets: [{ node: "1", input: "color" }],
      },
    },
  });
  expect([response.status, await response.text()]).toEqual([201, expect.anything()]);
}

interface OpenOptions {
  readonly scheme?: "light" | "dark";
  /** Called with dialogs, and with what the Content-Security-Policy refused. */
  readonly onSeen?: (text: string) => void;
}

async function open(
  browser: Browser,
  options: OpenOptions = {},
): Promise<{ page: Page; context: BrowserContext }> {
  const { scheme = "light", onSeen } = options;
  const context = await browser.newContext({ colorScheme: scheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  if (onSeen !== undefined) {
    page.on("dialog", (dialog) => {
      onSeen(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.exposeFunction("noteViolation", (text: string) => {
      onSeen(`refused by the policy: ${text}`);
    });
    await page.addInitScript(
      "addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => noteViolation(violatedDirective + ' ' + blockedURI))",
    );
  }
  return { page, context };
}

async function signIn(page: Page, url: string, key: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(url);
}

/** Until the view has read what it shows. */
async function show(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.getByRole("heading", { level: 2 }).first().waitFor();
  await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
}
