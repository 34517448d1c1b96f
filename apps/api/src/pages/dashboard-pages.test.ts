import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { DashboardPages } from "./dashboard-pages.ts";

test("there are pages, that for signing in among them, only where they were built", async () => {
  const folder = await mkdtemp(join(tmpdir(), "genga-pages-"));
  try {
    expect(new DashboardPages(folder).areThere).toBe(false);
    await writeFile(join(folder, "index.html"), "<!doctype html>");
    expect(new DashboardPages(folder).areThere).toBe(true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
