import { EventEmitter, once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { connect, type AddressInfo } from "node:net";
import { MIMEType } from "node:util";
import { buffer } from "node:stream/consumers";
import { describe, expect, test } from "@jest/globals";
import { RefusedError } from "../http/problem-document.ts";
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

  test.each(["x", '"x"', "x; charset=utf-8", "=_?x/:()'", '"a b"', String.raw`"a\"b\\c"`])(
    "is received with the boundary written as %s",
    async (written) => {
      const contentType = `multipart/form-data; boundary=${written}`;
      const boundary = new MIMEType(contentType).params.get("boundary")!;
      const forms = [[`${file}--x--`.replaceAll("--x", `--${boundary}`), "z".repeat(1_000)]];
      expect(await answersTo(forms, contentType)).toEqual([["a file"]]);
    },
  );

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

const after = [0, 1, 256, 257, 100_000];

describe("what follows the last boundary of a form is read past, and the connection serves the next request, if there are", () => {
  test.each(after)("%d bytes at once with it", async (bytes) => {
    const forms = [`${file}${file}--x--${"z".repeat(bytes)}`, `${file}--x--`];
    expect(await answersTo(forms.map((form) => [form]))).toEqual([["a file", "a file"], ["a file"]]);
  });

  test.each(after)("%d bytes after all files were kept", async (bytes) => {
    const end = "z".repeat(bytes);
    const forms = [
      [`${file}${file}--x--`, end],
      [`${file}--x-`, `-${end}`],
      [`${file}--x--`, ...end.slice(0, 600).split("")],
    ];
    expect(await answersTo(forms)).toEqual([["a file", "a file"], ["a file"], ["a file"]]);
  });

  test.each(after)("%d bytes with a boundary among them", async (bytes) => {
    const end = "\r\n--x\r\n--x--".padEnd(bytes, "z");
    const long = part('name="a"; filename="b"', "long ".repeat(40_000));
    const forms = [[`${long}--x--${end}`], [`${long}--x--`, end], [`${file}--x--`]];
    const answers = await answersTo(forms);
    expect(answers.map((contents) => (contents as string[])[0]?.length)).toEqual([200_000, 200_000, 6]);
  });

  test.each(after)("%d bytes, and no file", async (bytes) => {
    const forms = [
      [`--x--${"z".repeat(bytes)}`],
      [`${part('name="b"', "a field")}--x--`, "z".repeat(bytes)],
      [`${file}--x--`],
    ];
    expect(await answersTo(forms)).toEqual(["bad-request", "bad-request", ["a file"]]);
  });
});

/**
 * Sends forms over one connection, each when the one before was answered. Each piece of a form waits until the one before has
 * arrived; what follows the last boundary, until all files have been kept.
 */
async function answersTo(forms: readonly (readonly string[])[], contentType = type): Promise<unknown[]> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect({ port: (server.address() as AddressInfo).port, noDelay: true });
  const answers: unknown[] = [];
  try {
    for (const [first = "", ...others] of forms) {
      const answer = once(server, "request").then(async ([request, response]) => {
        const received = receivedPiecewise(request as IncomingMessage, response as ServerResponse, {
          first,
          others,
          write: (piece) => socket.write(piece),
        });
        return await received.finally(() => (response as ServerResponse).end("answered"));
      });
      const bytes = [first, ...others].join("").length;
      socket.write(
        `POST / HTTP/1.1\r\nhost: a\r\ncontent-type: ${contentType}\r\ncontent-length: ${bytes}\r\n\r\n`,
      );
      socket.write(first);
      answers.push(await answer);
      await once(socket, "data");
    }
    return answers;
  } finally {
    socket.destroy();
    server.close();
    await once(server, "close");
  }
}

async function receivedPiecewise(
  request: IncomingMessage,
  response: ServerResponse,
  { first, others, write }: { first: string; others: readonly string[]; write: (piece: string) => void },
): Promise<unknown> {
  const progress = new EventEmitter();
  let [arrived, kept] = [0, 0];
  const keep: Keep = async (file) => {
    const content = await read(file);
    kept += 1;
    progress.emit("news");
    return content;
  };
  const received = receiveFiles({ request, response }, keep, { bytesMax: 1_000_000 }).catch(
    (error: unknown) => (error instanceof RefusedError ? error.code : error),
  );
  request.on("data", (chunk: Buffer) => {
    arrived += chunk.length;
    progress.emit("news");
  });
  let sent = first;
  for (const piece of others) {
    const files = sent.endsWith("--x--") ? sent.split("filename=").length - 1 : 0;
    while (arrived < sent.length || kept < files) await once(progress, "news");
    write(piece);
    sent += piece;
  }
  return await received;
}

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
