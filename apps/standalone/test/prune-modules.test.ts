import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";

const script = join(import.meta.dirname, "../../../deploy/prune-modules.mjs");

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "genga-prune-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

/** Puts packages where npm would, each with its program, its types and a map. */
function install(dependencies: string[], packages: Record<string, object>, files: string[] = []): void {
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, "project", path)), { recursive: true });
    writeFileSync(join(root, "project", path), text);
  };
  write(
    "package.json",
    JSON.stringify({ dependencies: Object.fromEntries(dependencies.map((name) => [name, "1.0.0"])) }),
  );
  write("node_modules/.package-lock.json", JSON.stringify({ packages }));
  for (const path of Object.keys(packages)) {
    for (const file of ["package.json", "index.js", "index.js.map", "index.d.ts"])
      write(`${path}/${file}`, "{}");
  }
  for (const file of files) write(file, "{}");
}

const prune = (): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [script, join(root, "project"), join(root, "simulator")], { encoding: "utf8" });

/** Every file and link, without the two that each package keeps. */
function left(folder: "project" | "simulator"): string[] {
  return readdirSync(join(root, folder, "node_modules"), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(root, folder, "node_modules").length + 1))
    .filter((path) => path !== ".package-lock.json")
    .toSorted();
}

test("keeps what is needed, by way of every kind of dependency, and moves what only the simulator needs", () => {
  install(["web", "prisma", "@napi-rs/canvas"], {
    "node_modules/web": {
      dependencies: { shared: "1" },
      optionalDependencies: { native: "1", "native-elsewhere": "1" },
      peerDependencies: { peer: "1", typescript: "1" },
      peerDependenciesMeta: { typescript: { optional: true } },
    },
    "node_modules/web/node_modules/shared": {},
    "node_modules/shared": {},
    "node_modules/native": {},
    "node_modules/peer": {},
    "node_modules/typescript": {},
    "node_modules/prisma": { dependencies: { shared: "1", engine: "1", peer: "1" } },
    "node_modules/engine": {},
    "node_modules/@napi-rs/canvas": { dependencies: { brush: "1", peer: "1" } },
    "node_modules/brush": {},
  });
  mkdirSync(join(root, "project/node_modules/@genga"));
  symlinkSync("../../packages/jobs", join(root, "project/node_modules/@genga/jobs"));
  expect(prune()).toMatchObject({ status: 0, stderr: "" });
  const whole = (name: string): string[] => [`${name}/index.js`, `${name}/package.json`];
  expect(left("project")).toEqual(
    ["@genga/jobs", ...["native", "peer", "web", "web/node_modules/shared"].flatMap(whole)].toSorted(),
  );
  expect(left("simulator").filter((path) => path.endsWith(".js"))).toEqual([
    "@napi-rs/canvas/index.js",
    "brush/index.js",
  ]);
});

test("leaves of Redoc the file that the API serves, and of Prisma's client what PostgreSQL needs", () => {
  const runtime = "node_modules/@prisma/client/runtime";
  install(
    ["@prisma/client", "redoc"],
    {
      "node_modules/@prisma/client": {},
      "node_modules/redoc": { dependencies: { mobx: "1" } },
      "node_modules/mobx": {},
    },
    [
      "node_modules/redoc/LICENSE",
      "node_modules/redoc/bundles/redoc.standalone.js",
      "node_modules/redoc/bundles/redoc.browser.lib.js",
      `${runtime}/client.mjs`,
      `${runtime}/query_compiler_fast_bg.postgresql.mjs`,
      `${runtime}/query_compiler_fast_bg.postgresql.wasm-base64.mjs`,
      `${runtime}/query_compiler_fast_bg.mysql.wasm-base64.mjs`,
      `${runtime}/query_compiler_small_bg.postgresql.wasm-base64.mjs`,
      `${runtime}/wasm-compiler-edge.mjs`,
    ],
  );
  expect(prune()).toMatchObject({ status: 0, stderr: "" });
  expect(left("project")).toEqual([
    "@prisma/client/index.js",
    "@prisma/client/package.json",
    "@prisma/client/runtime/client.mjs",
    "@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs",
    "@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs",
    "redoc/LICENSE",
    "redoc/bundles/redoc.standalone.js",
    "redoc/package.json",
  ]);
});

test("leaves out what packages bring along of their own tests", () => {
  install(["web", "@our/test"], { "node_modules/web": {}, "node_modules/@our/test": {} }, [
    ...["test/a.js", "lib/__tests__/b.js", "lib/c.test.ts", "benchmarks/d.js"].map(
      (file) => `node_modules/web/${file}`,
    ),
    ...["lib/test.js", "lib/latest/e.js"].map((file) => `node_modules/web/${file}`),
  ]);
  expect(prune()).toMatchObject({ status: 0, stderr: "" });
  expect(left("project")).toEqual([
    ...["@our/test/index.js", "@our/test/package.json", "web/index.js"],
    ...["web/lib/latest/e.js", "web/lib/test.js", "web/package.json"],
  ]);
});

test("fails when something that is needed is not installed, and removes nothing", () => {
  install(["web"], { "node_modules/web": { dependencies: { lost: "1" } }, "node_modules/unused": {} });
  const { status, stderr } = prune();
  expect({ status, says: stderr.includes("lost, which node_modules/web needs, is not installed") }).toEqual({
    status: 1,
    says: true,
  });
  expect(left("project")).toContain("unused/index.js");
});
