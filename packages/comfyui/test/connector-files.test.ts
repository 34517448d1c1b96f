import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { connect, serveEachTest, server } from "./connector-under-test.ts";
import { answer } from "./scripted-comfyui.ts";

serveEachTest();

describe("files", () => {
  const file = { filename: "a b ä'.png", subfolder: "genga/1", type: "output" as const };

  test("are streamed, with their names encoded", async () => {
    const connector = connect();
    server.intercept = ({ path }, response) => {
      const query = new URL(path, server.url).searchParams;
      expect(Object.fromEntries(query)).toEqual(file);
      response.setHeader("content-type", "image/png");
      response.setHeader("content-length", 8);
      response.write("four");
      setImmediate(() => response.end("more"));
      return true;
    };
    const download = await connector.downloadOutput(file);
    expect(download).toMatchObject({ contentLength: 8, contentType: "image/png" });
    expect(Buffer.concat(await download.body.toArray()).toString()).toBe("fourmore");
  });

  test("that the server does not have are missing outputs", async () => {
    const connector = connect();
    await expect(connector.downloadOutput(file)).rejects.toMatchObject({
      code: "output_missing",
      errorClass: "execution",
    });
  });

  test("that break off, or stall, end in an error and not in a short file", async () => {
    const connector = connect({ requestTimeoutMs: 1_000 });
    let breakOff = (): void => undefined;
    server.intercept = (_request, response) => {
      response.setHeader("content-length", 8);
      response.write("four");
      breakOff = () => {
        response.destroy();
      };
      return true;
    };
    const broken = await connector.downloadOutput(file);
    breakOff();
    await expect(broken.body.toArray()).rejects.toMatchObject({ code: "connection_lost" });
    const stalled = await connector.downloadOutput(file);
    await expect(stalled.body.toArray()).rejects.toMatchObject({ code: "request_timeout" });
    const stopping = new AbortController();
    const stopped = await connector.downloadOutput(file, { signal: stopping.signal });
    stopping.abort(new Error("stop"));
    await expect(stopped.body.toArray()).rejects.toThrow("stop");
  });

  test("that nobody wants after all free their connection, read or unread", async () => {
    const connector = connect();
    let open = 0;
    server.intercept = (_request, response) => {
      open += 1;
      response.once("close", () => {
        open -= 1;
      });
      response.setHeader("content-length", 1_000_000);
      response.write("some");
      return true;
    };
    const unread = await connector.downloadOutput(file);
    const begun = await connector.downloadOutput(file);
    for await (const chunk of begun.body) {
      expect(String(chunk)).toBe("some");
      break;
    }
    unread.body.destroy();
    server.intercept = undefined;
    while (open > 0) await connector.makeRequest("GET", "/queue");
    expect(open).toBe(0);
  });

  test("may be read more slowly than the server may be silent", async () => {
    const silentMsMax = 500;
    const connector = connect({ requestTimeoutMs: silentMsMax });
    let finish = (): void => undefined;
    server.intercept = (_request, response) => {
      response.write("a".repeat(200_000));
      finish = () => response.end("b");
      return true;
    };
    const { body } = await connector.downloadOutput(file);
    finish();
    let bytes = 0;
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes < 100_000) await delay(1.5 * silentMsMax);
    }
    expect(bytes).toBe(200_001);
  });

  test.each([401, 302])("say nothing about a file while HTTP %s keeps Genga out", async (status) => {
    server.intercept = (_request, response) => {
      answer(response, { status, text: "Sign in" });
      return true;
    };
    await expect(connect().downloadOutput(file)).rejects.toMatchObject({
      code: "access_denied",
      httpStatus: status,
    });
  });

  test("are uploaded as multipart, and the server's own name is returned", async () => {
    const connector = connect();
    server.intercept = ({ body }, response) => {
      expect(body).toContain('name="image"; filename="ref.png"');
      expect(body).toContain("PNG bytes");
      expect(body).toMatch(/name="subfolder"\r\n\r\ngenga/);
      answer(response, { status: 200, json: { name: "ref (1).png", subfolder: "genga", type: "input" } });
      return true;
    };
    await expect(
      connector.uploadImage({
        bytes: Buffer.from("PNG bytes"),
        filename: "ref.png",
        mediaType: "image/png",
        subfolder: "genga",
      }),
    ).resolves.toEqual({ name: "ref (1).png", subfolder: "genga", type: "input" });
  });
});

describe("an upload that is turned away", () => {
  test.each([
    [400, "request_refused", "invalid"],
    [413, "request_refused", "invalid"],
    [404, "bad_reply", "server"],
    [405, "bad_reply", "server"],
    [302, "access_denied", "server"],
  ])("with HTTP %s is %s: class %s", async (status, code, errorClass) => {
    server.intercept = (_request, response) => {
      answer(response, { status, text: "no" });
      return true;
    };
    const upload = connect().uploadImage({ bytes: Buffer.from("PNG bytes"), filename: "ref.png" });
    await expect(upload).rejects.toMatchObject({ code, errorClass, httpStatus: status });
  });
});
