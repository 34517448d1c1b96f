import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { z } from "zod";

const project = join(import.meta.dirname, "../../..");
const read = (path: string): string => readFileSync(join(project, path), "utf8");
const list = z.array(z.string());
const leftOut = z
  .object({ onlyWhileBuilding: list, onlyForClients: list, onlyForSimulator: list })
  .parse(JSON.parse(read("deploy/left-out.json")));

/** The instructions of each part of the Dockerfile, one a line. */
const stages = new Map(
  read("deploy/Dockerfile")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split(/^(?=FROM )/m)
    .map((part) => part.split("\n").filter((line) => line !== ""))
    .map(([from = "", ...lines]) => [/ AS (.+)$/.exec(from)?.[1] ?? "", { from, lines }] as const),
);
const stage = (name: string): { from: string; lines: string[] } => {
  const found = stages.get(name);
  if (found === undefined) throw new Error(`The Dockerfile has no part ${name}.`);
  return found;
};
const folders = ["apps", "packages"].flatMap((parent) =>
  readdirSync(join(project, parent)).map((name) => `${parent}/${name}`),
);
const filesIn = (folder: string): string[] =>
  readdirSync(join(project, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(project.length + 1));

describe("the Dockerfile", () => {
  test("installs from the manifests alone, so that a changed source installs nothing anew", () => {
    const before = stage("manifests").lines.filter((line) => line.startsWith("COPY "));
    const manifests = folders
      .filter((folder) => existsSync(join(project, folder, "package.json")))
      .map((folder) => `COPY ${folder}/package.json ${folder}/`);
    expect(before.toSorted()).toEqual(
      ["COPY package.json package-lock.json .npmrc ./", ...manifests].toSorted(),
    );
    for (const name of ["build", "pages"]) {
      const { from, lines } = stage(name);
      expect(from).toBe(`FROM manifests AS ${name}`);
      expect(lines[0]).toMatch(/^RUN npm ci /);
    }
    expect(stage("build").lines).toEqual(
      expect.arrayContaining(["COPY apps apps", "COPY packages packages"]),
    );
  });

  test("begins with a release of Node that still gets fixes, and that the project runs on", () => {
    const [, major] = /^FROM node:(\d+)-bookworm-slim$/.exec(stage("node").from.replace(/ AS .*/, "")) ?? [];
    expect(["22", "24"]).toContain(major);
    const { engines } = z
      .object({ engines: z.object({ node: z.string() }) })
      .parse(JSON.parse(read("package.json")));
    expect(engines.node).toBe(">=20.19");
  });

  test("removes unused packages before it copies the sources", () => {
    const { lines } = stage("build");
    const prune = lines.findIndex((line) =>
      /^RUN node prisma\/generate\.mjs && node deploy\/prune-modules\.mjs \/srv\/genga \/srv\/simulator$/.test(
        line,
      ),
    );
    expect(prune).toBeGreaterThan(lines.findIndex((line) => line.startsWith("RUN npm ci")));
    expect(prune).toBeLessThan(lines.indexOf("COPY apps apps"));
  });

  test("copies the build into the images, and runs it as an unprivileged user", () => {
    const { from, lines } = stage("service");
    expect(from).toMatch(/^FROM debian:/);
    const copies = lines.filter((line) => line.startsWith("COPY "));
    for (const line of copies) expect(line).toMatch(/^COPY --from=(build|node|pages) /);
    expect(lines).toContain("USER 1000:1000");
    const simulator = stage("simulator");
    expect(simulator.from).toMatch(/^FROM service /);
    expect(simulator.lines.filter((line) => line.startsWith("USER "))).toEqual([]);
    expect(stage("").from).toBe("FROM service");
  });
});

test(".dockerignore keeps tests, secrets and what only developers use out", () => {
  const patterns = read(".dockerignore")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const isOut = (file: string): boolean => {
    const parts = file.split("/");
    return parts.some((_, index) =>
      patterns.some((pattern) => matchesGlob(parts.slice(0, index + 1).join("/"), pattern)),
    );
  };
  const files = folders.flatMap((folder) => filesIn(folder));
  const inside = files.filter((file) => !isOut(file));
  expect(
    inside.filter((file) => /\/test\/|\.test\.ts$|^packages\/testing\/src|^apps\/cli\/(src|bin)/.test(file)),
  ).toEqual([]);
  for (const file of [".env", ".git/config", ".genga/x", "node_modules/x", "apps/api/node_modules/x"]) {
    expect({ file, isOut: isOut(file) }).toEqual({ file, isOut: true });
  }
  // What the Dockerfile copies, and the entry points that run in a container, stay.
  for (const file of [
    ...folders.map((folder) => `${folder}/package.json`),
    "apps/api/src/main.ts",
    "apps/worker/src/main.ts",
    "apps/worker/src/sweeping/retention-main.ts",
    "apps/standalone/src/keys/keys-main.ts",
    "packages/database/src/migrations/migrate-main.ts",
    "packages/comfyui-simulator/src/main.ts",
    "prisma/schema.prisma",
    "deploy/left-out.json",
  ]) {
    expect({ file, isOut: isOut(file), exists: existsSync(join(project, file)) }).toEqual({
      file,
      isOut: false,
      exists: true,
    });
  }
});

test("only the simulator loads the packages that the services' image leaves out", () => {
  const absent = [
    ...leftOut.onlyForClients,
    ...leftOut.onlyForSimulator,
    "@genga/comfyui-simulator",
    "@genga/comfyui-recordings",
  ];
  const loads = new RegExp(`(?:from|import\\(|resolve\\() ?"(${absent.join("|")})[/"]`);
  const loaders = folders
    .filter(
      (folder) =>
        // In no image, or for the demo alone.
        !/^(packages\/(testing|chaos|comfyui-templates|client)|apps\/cli)$/.test(folder),
    )
    .flatMap((folder) => filesIn(`${folder}/src`))
    .filter((file) => !file.endsWith(".test.ts") && loads.test(read(file)));
  // `npm start` runs the simulator from a checkout; no container has this entry point.
  expect(loaders.filter((file) => !file.startsWith("packages/comfyui-simulator/"))).toEqual([
    "apps/standalone/src/services/simulator-main.ts",
  ]);
  expect(loaders.length).toBeGreaterThan(1);
});
