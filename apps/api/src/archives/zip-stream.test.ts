import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { Spool } from "./spool.ts";
import { zipOf, type ZipEntry } from "./zip-stream.ts";

const folder = mkdtempSync(join(tmpdir(), "genga-zip-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const at = new Date("2026-03-01T12:30:40Z");
const entryOf = (name: string, ...chunks: Buffer[]): ZipEntry => ({
  ...{ name, modifiedAt: at, bytes: chunks.reduce((sum, { length }) => sum + length, 0) },
  content: inOrder(chunks),
});

async function* inOrder<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  for (const item of items) yield await Promise.resolve(item);
}

/** Writes the zip; zeros become holes of the file. */
async function write(entries: Iterable<ZipEntry>): Promise<string> {
  const path = join(folder, `${Math.random()}.zip`);
  const spool = await Spool.open(folder);
  const file = await open(path, "wx");
  let position = 0;
  let gathered: Buffer[] = [];
  const flush = async (): Promise<void> => {
    const together = Buffer.concat(gathered);
    gathered = [];
    if (together.length > 0) await file.write(together, 0, together.length, position);
    position += together.length;
  };
  for await (const chunk of zipOf(inOrder(entries), spool)) {
    if (chunk === zeros) {
      await flush();
      position += chunk.length;
    } else if (gathered.push(chunk) >= chunksTogether) await flush();
  }
  await flush();
  await file.close();
  await spool.close();
  return path;
}
const chunksTogether = 1_000;
const zeros = Buffer.alloc(64 * 1024 * 1024);

/** What Python's zipfile makes of it. */
const python = (script: string, path: string): unknown =>
  JSON.parse(
    execFileSync(
      "python3",
      ["-c", `import zipfile, json, sys\nz = zipfile.ZipFile(sys.argv[1])\n${script}`, path],
      {
        encoding: "utf8",
      },
    ),
  );

test("Python reads what was written, names in any script and deflated entries as well", async () => {
  const deflated = { ...entryOf("b.json", Buffer.from("x".repeat(100_000))), isDeflated: true as const };
  const path = await write([entryOf("原画/a.png", Buffer.from("pic"), Buffer.from("ture")), deflated]);
  const script = `print(json.dumps([z.testzip(), [[i.filename, i.file_size, i.date_time] for i in z.infolist()],
    z.read("原画/a.png").decode(), len(z.read("b.json"))]))`;
  const time = [2026, 3, 1, 12, 30, 40];
  const listed = [
    ["原画/a.png", 7, time],
    ["b.json", 100_000, time],
  ];
  expect(python(script, path)).toEqual([null, listed, "picture", 100_000]);
  expect(statSync(path).size).toBeLessThan(1_000);
});

test("a zip without entries is a zip", async () => {
  expect(python("print(json.dumps(z.namelist()))", await write([]))).toEqual([]);
});

test("more than 65,535 entries are counted with 64 bits", async () => {
  const count = 65_600;
  const names = Array.from({ length: count }, (_, index) => `shot/${index}.png`);
  const path = await write(names.map((name) => entryOf(name, Buffer.from(name))));
  const script = `print(json.dumps([len(z.infolist()), z.read("shot/65599.png").decode(), open(sys.argv[1], "rb").read().count(b"PK\\x06\\x06")]))`;
  expect(python(script, path)).toEqual([count, "shot/65599.png", 1]);
}, 180_000);

test("entries and places beyond 4 GiB have 64 bits", async () => {
  const large = Array.from({ length: 65 }, () => zeros);
  const path = await write([
    entryOf("large.mp4", ...large),
    entryOf("after.png", Buffer.from("after")),
    { name: "manifest.json", modifiedAt: at, content: inOrder([Buffer.from("{}")]), isDeflated: true },
  ]);
  const script = `i = z.getinfo("large.mp4")
print(json.dumps([i.file_size, i.CRC, z.getinfo("after.png").header_offset > 2**32, z.read("after.png").decode(),
  z.read("manifest.json").decode(), z.open("large.mp4").read(10).hex()]))`;
  const bytes = 65 * zeros.length;
  expect(python(script, path)).toEqual([bytes, expect.any(Number), true, "after", "{}", "00".repeat(10)]);
}, 180_000);

test.each([false, true])(
  "an entry that breaks ends the zip without its directory (deflated: %s)",
  async (deflated) => {
    async function* breaking(): AsyncGenerator<Buffer> {
      yield await Promise.resolve(Buffer.from("begin"));
      throw new Error("The disk is gone.");
    }
    const broken: ZipEntry = {
      name: "a",
      modifiedAt: at,
      content: breaking(),
      ...(deflated && { isDeflated: true }),
    };
    const spool = await Spool.open(folder);
    const chunks: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of zipOf(inOrder([broken]), spool)) chunks.push(chunk);
    })();
    await expect(reading).rejects.toThrow("The disk is gone.");
    expect(Buffer.concat(chunks).includes("PK\x05\x06")).toBe(false);
    await spool.close();
  },
);
