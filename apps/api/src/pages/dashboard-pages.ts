import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import express, { type RequestHandler, Router } from "express";
import { baseUrlOf } from "../http/base-url.ts";

/** Where apps/dashboard/build.mjs puts the built pages. */
export const dashboardFolder = fileURLToPath(new URL("../../../dashboard/dist", import.meta.url));

/** The addresses of the dashboard's views besides `/`; they must be those of apps/dashboard/src/frame/router.tsx. */
const pagePaths = [
  ...["/sign-in", "/jobs", "/jobs/:id", "/batches", "/batches/:id", "/create", "/servers", "/queue"],
  ...["/settings", "/settings/:section"],
];

/** What the page may load and do: only its own files, the API, and pictures that it made itself. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  // The component library sets sizes and positions by style attributes.
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

/** The built dashboard: one page, at each of its addresses, and the files that it loads. */
export class DashboardPages {
  readonly #page: string | undefined;
  readonly #assets: RequestHandler | undefined;

  /** @param folder of the built pages; where it is missing, this answers nothing */
  constructor(folder: string) {
    const index = join(folder, "index.html");
    if (!existsSync(index)) return;
    this.#page = readFileSync(index, "utf8");
    // Their names contain a hash of their content.
    this.#assets = express.static(join(folder, "assets"), {
      ...{ index: false, immutable: true, maxAge: "365d", redirect: false },
    });
  }

  /** The page for the views' addresses, below the path of PUBLIC_URL; undefined where it was not built. */
  pageFor(
    response: Parameters<typeof baseUrlOf>[0],
  ): { content: string; headers: Record<string, string> } | undefined {
    if (this.#page === undefined) return undefined;
    const base = new URL(baseUrlOf(response)).pathname.replace(/\/*$/, "/");
    return {
      content: this.#page.replace('<base href="/"', () => `<base href="${escaped(base)}"`),
      headers: { "content-security-policy": contentSecurityPolicy, "cache-control": "no-cache" },
    };
  }

  /** Answers the addresses of the views, and those of the files. */
  router(): Router {
    const router = Router();
    if (this.#assets === undefined) return router;
    router.use("/assets", this.#assets);
    router.get(pagePaths, (_request, response) => {
      const page = this.pageFor(response);
      response.set(page?.headers).type("html").send(page?.content);
    });
    return router;
  }
}

function escaped(path: string): string {
  return path.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
