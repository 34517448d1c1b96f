import { execFile } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createBrotliDecompress } from "node:zlib";
import { type Browser } from "playwright-core";
import { z } from "zod";
import { cachedFolder } from "./tool-cache.ts";

const run = promisify(execFile);

/** A Chromium that can be run on this machine. */
export interface BrowserProgram {
  readonly path: string;
  /** The environment variables that it needs. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Finds a Chromium: the one that `CHROMIUM_PATH` names, the one that npm installed (with its own libraries and fonts,
 * for Linux on x64), or one on the PATH.
 * @returns the reason if there is none, for the name of the skipped test
 */
export async function findBrowser(): Promise<BrowserProgram | { readonly reason: string }> {
  const { CHROMIUM_PATH: given } = process.env;
  const failures: string[] = [];
  const ways: (() => Promise<BrowserProgram>)[] =
    given === undefined ? [unpackedBrowser, installedBrowser] : [() => startable({ path: given, env: {} })];
  for (const way of ways) {
    try {
      return await way();
    } catch (error) {
      failures.push(error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error));
    }
  }
  return { reason: `there is no Chromium here: ${failures.join("; ")}` };
}

/** Starts a browser without a window. Its own sandbox is off for root, who may not use it. */
export async function openBrowser({ path, env }: BrowserProgram): Promise<Browser> {
  // Imported only here, since most tests need no browser.
  const { chromium } = await import("playwright-core");
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return chromium.launch({
    executablePath: path,
    args,
    // Without a Unicode locale Chromium saves a file whose name is not ASCII as "download".
    env: { ...Object.fromEntries(inherited), LC_ALL: "C.UTF-8", ...env },
  });
}

async function unpackedBrowser(): Promise<BrowserProgram> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`@sparticuz/chromium has none for ${process.platform} on ${process.arch}`);
  }
  const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
  const home = dirname(dirname(dirname(entry)));
  const description: unknown = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  const { version } = z.object({ version: z.string() }).parse(description);
  const folder = await cachedFolder(`browser-${version}`, (draft) => unpack(join(home, "bin"), draft));
  return startable({
    path: join(folder, "chromium"),
    env: {
      ...{ LD_LIBRARY_PATH: join(folder, "lib"), FONTCONFIG_FILE: join(folder, "only-own-fonts.conf") },
      ...{ XDG_DATA_HOME: folder, XDG_CACHE_HOME: join(folder, "cache") },
    },
  });
}

/** The package's own file names folders of a cloud service. Without any font Chromium ends as soon as a page has text. */
const fontSettings = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="xdg">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;

async function unpack(from: string, into: string): Promise<void> {
  const program = join(into, "chromium");
  await decompress(join(from, "chromium.br"), program);
  await chmod(program, 0o755);
  await writeFile(join(into, "only-own-fonts.conf"), fontSettings);
  for (const name of ["al2023", "fonts", "swiftshader"]) {
    const archive = join(into, `${name}.tar`);
    await decompress(join(from, `${name}.tar.br`), archive);
    await run("tar", ["-xf", archive, "-C", into]);
    await rm(archive);
  }
}

async function decompress(from: string, to: string): Promise<void> {
  await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to));
}

async function installedBrowser(): Promise<BrowserProgram> {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const script = names.map((name) => `command -v ${name}`).join(" || ");
  const found = await run("/bin/sh", ["-c", script]).catch(() => undefined);
  if (found === undefined) throw new Error("none is on the PATH");
  return startable({ path: found.stdout.trim(), env: {} });
}

async function startable(program: BrowserProgram): Promise<BrowserProgram> {
  const { stdout } = await run(program.path, ["--version"], {
    env: { ...process.env, ...program.env },
    timeout: 120_000,
  });
  if (!/chrom/i.test(stdout)) throw new Error(`${program.path} is no Chromium`);
  return program;
}
