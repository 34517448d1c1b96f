import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Download, type GengaClient, type Output } from "@genga/client";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { fetchFile, type FetchedFile } from "./fetch-file.ts";

const content = Buffer.from("a picture, as far as anybody can tell");
const output = {
  bytes: content.length,
  sha256: createHash("sha256").update(content).digest("hex"),
} as Output;
const longAgo = new Date(Date.now() - 10 * 60_000);

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-fetch-"));
  path = join(folder, "picture.png");
});
afterEach(() => rm(folder, { recursive: true }));

/** Downloads with what `meanwhile` does before the last byte arrives, or before the API answers. */
async function fetchWhile(meanwhile: () => Promise<void>, { isAnswered = true } = {}): Promise<FetchedFile> {
  const download = async (_output: Output, { have }: { have?: { bytes: number } }): Promise<Download> => {
    if (!isAnswered) await meanwhile();
    const rest = content.subarray(have?.bytes ?? 0);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(rest.subarray(0, -1));
      },
      pull: async (controller) => {
        if (isAnswered) await meanwhile();
        controller.enqueue(rest.subarray(-1));
        controller.close();
      },
    });
    return { body, mediaType: "image/png", bytes: rest.length, sha256: output.sha256 };
  };
  const client = { download } as unknown as GengaClient;
  const { signal } = new AbortController();
  return await fetchFile(client, output, { path, taken: new Set(), signal, aliveMs: 10 });
}

async function partOf(): Promise<string> {
  for (;;) {
    const part = (await readdir(folder)).find((name) => /\.[0-9a-f]{8}\.part$/.test(name));
    if (part !== undefined) return join(folder, part);
  }
}

async function untilTouched(part: string): Promise<void> {
  while ((await stat(part)).mtimeMs <= longAgo.getTime() + 1_000)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a download that brings nothing for minutes", () => {
  test("says that it is alive, so that nobody takes what it has", async () => {
    const fetched = await fetchWhile(async () => {
      const part = await partOf();
      for (let round = 0; round < 2; round += 1) {
        await utimes(part, longAgo, longAgo);
        await untilTouched(part);
      }
    });
    expect(fetched).toEqual({ path, wasThere: false });
    expect(await readFile(path)).toEqual(content);
  });

  test("is told from what was left long ago, with which it goes on", async () => {
    await writeFile(`${path}.part`, content.subarray(0, 9));
    await utimes(`${path}.part`, longAgo, longAgo);
    const isTouched = async (): Promise<void> => {
      await untilTouched(await partOf());
    };
    await fetchWhile(isTouched, { isAnswered: false });
    expect(await readFile(path)).toEqual(content);
  });
});

describe("a download whose file another one took", () => {
  test("has ended well if the other one has finished it", async () => {
    const fetched = await fetchWhile(async () => {
      await rm(await partOf());
      await writeFile(path, content);
    });
    expect(fetched).toEqual({ path, wasThere: true });
    expect(await readdir(folder)).toEqual(["picture.png"]);
  });

  test.each([
    [
      "not finished it",
      async (part: string) => {
        await rename(part, join(folder, "elsewhere"));
      },
    ],
    [
      "other content under its name",
      async () => {
        await writeFile(path, "another picture");
      },
    ],
  ])("fails, and says so, if the other one has %s", async (_state, theirs) => {
    const failed = fetchWhile(async () => {
      const part = await partOf();
      await theirs(part);
      await rm(part, { force: true });
    });
    await expect(failed).rejects.toThrow(/picture\.png was removed meanwhile; fetch it again/);
  });
});
