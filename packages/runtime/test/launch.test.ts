import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";

const launchFolder = new URL("../src/launch/", import.meta.url);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "genga-launch-"));
  const source = `
    import { importCompiled } from ${JSON.stringify(new URL("import-compiled.mjs", launchFolder).href)};
    const [, , entry, cacheFolder] = process.argv;
    await importCompiled(new URL(entry), { cacheFolder });`;
  writeFileSync(join(folder, "run.mjs"), source);
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

/** Runs main.ts in a process of its own; returns what it printed. */
async function run(cache = "cache"): Promise<{ stdout: string; stderr: string }> {
  const args = [join(folder, "run.mjs"), pathToFileURL(join(folder, "main.ts")).href, join(folder, cache)];
  return promisify(execFile)(process.execPath, args, { env: { PATH: process.env["PATH"] } });
}

/** The compiled forms of main.ts: one for each state of its sources. */
function forms(): string[] {
  const [entry = ""] = readdirSync(join(folder, "cache"));
  return readdirSync(join(folder, "cache", entry)).filter((name) => !name.endsWith(".json"));
}

describe("A compiled entry point", () => {
  beforeEach(() => {
    write("part.ts", `export const word: string = "first";`);
    write("main.ts", `import { word } from "./part.ts"; console.log(word);`);
  });

  test("is made by the first start and used by the next", async () => {
    expect((await run()).stdout).toBe("first\n");
    const made = forms();
    expect(made).toHaveLength(1);
    expect((await run()).stdout).toBe("first\n");
    expect(forms()).toEqual(made);
  });

  test("is made anew when a source that it imports has another content, also of the same length and time", async () => {
    await run();
    const { atime, mtime } = statSync(join(folder, "part.ts"));
    const changed = write("part.ts", `export const word: string = "other";`);
    utimesSync(changed, atime, mtime);
    expect((await run()).stdout).toBe("other\n");
    expect(forms()).toHaveLength(2);
    write("part.ts", `export const word: string = "first";`);
    expect((await run()).stdout).toBe("first\n");
    expect(forms()).toHaveLength(2);
  });

  test("is whole for each of several processes that start at once", async () => {
    const outputs = await Promise.all(Array.from({ length: 4 }, () => run()));
    expect(outputs).toEqual(Array.from({ length: 4 }, () => ({ stdout: "first\n", stderr: "" })));
    expect(forms()).toHaveLength(1);
  });

  test("names the sources in a stack trace", async () => {
    write(
      "part.ts",
      `type Unused = string;\n\nexport function fail(): never {\n  throw new Error("broken");\n}`,
    );
    write("main.ts", `import { fail } from "./part.ts";\n\nfail();`);
    const trace = /broken\n +at fail .*part\.ts:4:9\)\n +at .*main\.ts:3:1\)/;
    await expect(run()).rejects.toThrow(trace);
    await expect(run()).rejects.toThrow(trace);
  });

  test("keeps the names of classes, also where two modules have the same one", async () => {
    const nameOf = `export const nameOf = (): string => new AbortError().constructor.name; class AbortError extends Error {}`;
    write("part.ts", nameOf);
    write("other.ts", nameOf);
    write(
      "main.ts",
      `import { nameOf } from "./part.ts"; import { nameOf as other } from "./other.ts"; console.log(nameOf(), other());`,
    );
    expect((await run()).stdout).toBe("AbortError AbortError\n");
  });

  test("finds files beside its source", async () => {
    write(
      "main.ts",
      `import { readFileSync } from "node:fs";
      console.log(readFileSync(new URL("./beside.txt", import.meta.url), "utf8"));`,
    );
    write("beside.txt", "here");
    expect((await run()).stdout).toBe("here\n");
  });
});

describe("Without a compiled form", () => {
  test("the sources run where nothing can be written", async () => {
    write("main.ts", `const word: string = "as it is"; console.log(word);`);
    // A file where the folder would be: root may write to a folder without permissions.
    write("cache", "");
    expect(await run()).toEqual({ stdout: "as it is\n", stderr: "" });
  });

  test("a mistake in a source is reported with its place", async () => {
    write("main.ts", `console.log("never");\nconst = 1;`);
    await expect(run()).rejects.toThrow(/main\.ts:2:6/);
  });
});

test("the launcher passes arguments on, as if node had been started with the entry point", async () => {
  const entry = fileURLToPath(new URL("fixtures/print-arguments.ts", import.meta.url));
  const launcher = fileURLToPath(new URL("launch.mjs", launchFolder));
  const { stdout } = await promisify(execFile)(process.execPath, [launcher, entry, "--one", "two"]);
  expect(JSON.parse(stdout)).toEqual([process.execPath, entry, "--one", "two"]);
});
