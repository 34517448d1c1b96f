import { startTcpProxy, type ServiceProcess, type TcpProxy } from "@genga/testing";
import { afterAll } from "@jest/globals";
import { inBrowser, screenshot, usePages } from "./support/pages-under-test.ts";

let network: TcpProxy | undefined;
let api: ServiceProcess;
const pages = usePages({}, async ({ stack }) => {
  network = await startTcpProxy({ targetUrl: String(stack.env["DATABASE_URL"]) });
  api = await stack.startApi({ DATABASE_URL: network.url });
});
afterAll(() => network?.close());

inBrowser(
  "every view says that its database is away, and is read again when that has come back",
  async () => {
    const url = String(api.details["url"]);
    const { page } = await pages.open("/servers", { url });
    await page.getByRole("article", { name: /^Server / }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await network?.cut();
    const notice = page.getByRole("alert").filter({ hasText: "The database does not answer." });
    await notice.getByText(/What is shown is from .*\d/).waitFor();
    await page.getByText("Out of date", { exact: true }).waitFor();
    await screenshot(page, "outage");
    // A list that was opened meanwhile has nothing to show.
    await page.getByRole("link", { name: "Jobs", exact: true }).click();
    await page.getByRole("button", { name: "Try again" }).waitFor();
    await notice.waitFor();
    await network?.restore();
    await page.getByRole("button", { name: "Try again" }).waitFor({ state: "detached" });
    await notice.waitFor({ state: "detached" });
    await page.getByText("Live", { exact: true }).waitFor();
  },
  180_000,
);

inBrowser(
  "the overview does not say that all is well while the API is away",
  async () => {
    const url = String(api.details["url"]);
    const { page } = await pages.open("/", { url });
    await page.getByText("all is well", { exact: true }).waitFor();
    api.signal("SIGKILL");
    await page.getByText("not known: the API does not answer", { exact: true }).waitFor();
    await page.getByRole("alert").filter({ hasText: "The API does not answer." }).waitFor();
    await page.getByText("all is well", { exact: true }).waitFor({ state: "detached" });
    await pages.stack.startApi({ PORT: new URL(url).port });
    await page.getByText("all is well", { exact: true }).waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
  },
  180_000,
);
