import { once } from "node:events";
import { createServer, request as httpRequest, type ClientRequest } from "node:http";
import { type AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { describe, expect, test } from "@jest/globals";
import { receiveFiles } from "./receive-files.ts";

type Keep = Parameters<typeof receiveFiles<unknown>>[1];

const type = "multipart/form-data; boundary=x";
const part = (disposition: string, content: string): string =>
  `--x\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
const file = part('name="a"; filename="a"', "a file");

/** Sends the pieces of a form, and leaves when the first of them, or all, have arrived. */
async function outcomeOf(
  pieces: readonly string[],
  { keep, leavesAt, headers }: { keep: Keep; leavesAt?: "data" | "end"; headers?: Record<string, number> },
): Promise<unknown> {
  let sending: ClientRequest | undefined;
  const outcome = new Promise((resolve) => {
    server.once("request", (request, response) => {
      const received = receiveFiles({ request, response }, keep, { bytesMax: 4_096 }).catch(
        (error: unknown) => error,
      );
      resolve(received.finally(() => response.end()));
      if (leavesAt !== undefined) request.once(leavesAt, () => sending?.destroy());
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    sending = httpRequest({ port, method: "POST", headers: { "content-type": type, ...headers } });
    sending.on("error", () => undefined);
    for (const piece of pieces) sending.write(piece);
    if (headers === undefined) sending.end();
    return await outcome;
  } finally {
    sending?.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
}
const server = createServer();
const read: Keep = async ({ content }) => (await buffer(content)).toString();

describe("a form", () => {
  test("is received with what it may have", async () => {
    const pieces = ["a preamble\r\n", part('name="b"', "a field"), file, file, "--x--\r\n"];
    expect(await outcomeOf(pieces, { keep: read })).toEqual(["a file", "a file"]);
  });

  test.each([1, 2, 3, 4])("is received if its last %d bytes come by themselves", async (count) => {
    const form = `${file}--x--\r\n`;
    const pieces = [form.slice(0, -count), form.slice(-count)];
    expect(await outcomeOf(pieces, { keep: read })).toEqual(["a file"]);
  });

  test.each([
    ["a long preamble", [...Array.from({ length: 50 }, () => "preamble ".repeat(10)), "\r\n", file]],
    ["a long field", [part('name="b"', "field ".repeat(1_000)), file]],
    ["a long end", [file, "--x--\r\n", "end ".repeat(2_000)]],
    ["many small parts", Array.from({ length: 15 }, () => part("", "z".repeat(400)))],
    ["long files", [part('name="a"; filename="a"', "file ".repeat(1_000))]],
  ])("with %s is refused for its bytes", async (_what, pieces) => {
    expect(await outcomeOf([...pieces, "--x--\r\n"], { keep: read })).toMatchObject({
      code: "body-too-large",
    });
  });

  test("that says it has too many bytes is refused before they are read", async () => {
    const headers = { "content-length": 4_097 };
    expect(await outcomeOf(["-"], { keep: read, headers })).toMatchObject({ code: "body-too-large" });
  });
});

test.each([
  ["all of a form", { leavesAt: "end" }],
  ["half a form", { leavesAt: "data", headers: { "content-length": 4_000 } }],
] as const)("of %s all work ends when its client leaves", async (_what, options) => {
  const keep: Keep = async ({ content, signal }) => {
    content.resume();
    signal.throwIfAborted();
    await once(signal, "abort");
    throw signal.reason;
  };
  expect(await outcomeOf([file, "--x--\r\n"], { keep, ...options })).toMatchObject({ code: "bad-request" });
});
