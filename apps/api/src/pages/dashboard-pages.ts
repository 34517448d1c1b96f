import { readFileSync } from "node:fs";
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

/** As the build names files: what they contain never changes. */
const nameWithHash = /-[\w-]{8}\.\w+$/;

/** The built dashboard: one page, at each of its addresses, and the files that it loads. */
export class DashboardPages {
  readonly #index: string;
  readonly #assets: RequestHandler;

  /** @param folder of the built pages; while it is missing, this answers nothing */
  constructor(folder: string) {
    this.#index = join(folder, "index.html");
    this.#assets = express.static(join(folder, "assets"), {
      ...{ index: false, immutable: true, maxAge: "365d", redirect: false },
      setHeaders: (response, path) => {
        if (!nameWithHash.test(path)) response.setHeader("cache-control", "public, max-age=3600");
      },
    });
  }

  /** Whether the pages were built, that for signing in among them. */
  get areThere(): boolean {
    return this.#read() !== undefined;
  }

  /** The page for the views' addresses, below the path of PUBLIC_URL; undefined where it was not built. */
  pageFor(
    response: Parameters<typeof baseUrlOf>[0],
  ): { content: string; headers: Record<string, string> } | undefined {
    const page = this.#read();
    if (page === undefined) return undefined;
    const base = new URL(baseUrlOf(response)).pathname.replace(/\/*$/, "/");
    return {
      content: page.replace('<base href="/"', () => `<base href="${escaped(base)}"`),
      headers: { "content-security-policy": contentSecurityPolicy, "cache-control": "no-cache" },
    };
  }

  /** Answers the addresses of the views, and those of the files. */
  router(): Router {
    const router = Router();
    router.use("/assets", this.#assets);
    router.get(pagePaths, (_request, response, next) => {
      const page = this.pageFor(response);
      if (page === undefined) next();
      else response.set(page.headers).type("html").send(page.content);
    });
    return router;
  }

  /** Each time, since it names files that a new build may have replaced; it is small. */
  #read(): string | undefined {
    try {
      return readFileSync(this.#index, "utf8");
    } catch {
      return undefined;
    }
  }
}

function escaped(path: string): string {
  return path.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
