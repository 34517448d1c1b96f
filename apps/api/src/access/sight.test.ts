import { describe, expect, test } from "@jest/globals";
import { Sight } from "./sight.ts";

const one = { id: "0190b8a0-0000-7000-8000-00000000aaaa", url: "http://gpu-7.internal:8188" };
const other = { id: "0190b8a0-0000-7000-8000-0000bbbbbbbb", url: "https://10.1.2.3/comfy" };
const tenant = new Sight({ role: "submit" }, [one, other]);
const operator = new Sight({ role: "operate" }, [one, other]);

describe("a text for a tenant", () => {
  test.each([
    [
      "POST /prompt: HTTP 500 from http://gpu-7.internal:8188/prompt.",
      "POST /prompt: HTTP 500 from server-0000aaaa/prompt.",
    ],
    [
      "The servers: http://gpu-7.internal:8188, https://10.1.2.3/comfy.",
      "The servers: server-0000aaaa, server-bbbbbbbb/comfy.",
    ],
    ["with http://me:secret@GPU-7.internal:8188/", "with server-0000aaaa/"],
    ["ws://gpu-7.internal:8188/ws", "server-0000aaaa/ws"],
    [
      "gpu-7.internal:8188 is away, and so is gpu-7.internal.",
      "server-0000aaaa is away, and so is server-0000aaaa.",
    ],
    ["(connect ECONNREFUSED 192.168.1.9:8188)", "(connect ECONNREFUSED)"],
    ["(connect ECONNREFUSED ::1:8188)", "(connect ECONNREFUSED)"],
    ["(getaddrinfo ENOTFOUND gpu-9.internal)", "(getaddrinfo ENOTFOUND)"],
    ["read 172.16.0.4:1234", "read (address)"],
    ["http://gpu-9:8188/view", "(address)/view"],
    ["http://[fd00::7]:8188/view", "(address)/view"],
    ["http://gpu-9.internal:8188", "(address)"],
    ["the model is at https://huggingface.co/a/b", "the model is at https://huggingface.co/a/b"],
    ["torch 2.7.1, step 3 of 8, 12:30", "torch 2.7.1, step 3 of 8, 12:30"],
    ["my-gpu-7.internal is another name", "my-gpu-7.internal is another name"],
  ])("%s", (text, shown) => {
    expect(tenant.text(text)).toBe(shown);
    expect(operator.text(text)).toBe(text);
  });

  test("does not show the machine name that tells apart servers with one loopback address", () => {
    const beside = [
      { ...one, url: "http://127.0.0.1:8188#pod-7" },
      { ...other, url: "http://127.0.0.1:8188#pod-77" },
    ];
    const text = `The servers: ${beside[1]?.url}, ${beside[0]?.url}.`;
    expect(new Sight({ role: "read" }, beside).text(text)).toBe(
      "The servers: server-bbbbbbbb, server-0000aaaa.",
    );
  });

  test("does not show the name that was resolved to addresses of several servers", () => {
    const resolved = ["10.0.0.1", "10.0.0.2"].map((address, index) => ({
      ...{ id: [one, other][index]!.id, url: `https://${address}:8188`, resolvedFrom: "comfyui.gpu" },
    }));
    const text = "https://10.0.0.2:8188: Host: comfyui.gpu. is not in the cert's altnames: DNS:comfyui.gpu-7";
    expect(new Sight({ role: "read" }, resolved).text(text)).toBe(
      "server-bbbbbbbb: Host: (address). is not in the cert's altnames: DNS:comfyui.gpu-7",
    );
  });

  test("is right with each list of servers, also where a list has a server under another address", () => {
    const moved = [{ ...one, url: "http://gpu-8.internal:8188" }, other];
    const text = "gpu-7.internal:8188 or http://gpu-8.internal:8188";
    expect(new Sight({ role: "read" }, [one]).text(text)).toBe("server-0000aaaa or (address)");
    expect(new Sight({ role: "read" }, moved).text(text)).toBe("gpu-7.internal:8188 or server-0000aaaa");
  });

  test("takes little time, however long the text is", () => {
    const startedAt = performance.now();
    for (const text of ["http://", "1.1.1.", "connect E", "gpu-7.internal", "http://a:b@", "x."]) {
      tenant.text(text.repeat(20_000));
    }
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

test("event data shows tenants no worker and, at any depth, no address; operators see all of it", () => {
  const data = {
    workerId: "host-7",
    failure: { message: "connect ECONNREFUSED 10.1.2.3:443", lines: ["at gpu-7.internal:8188"] },
  };
  expect(tenant.data(data)).toEqual({
    failure: { message: "connect ECONNREFUSED", lines: ["at server-0000aaaa"] },
  });
  expect(operator.data(data)).toEqual(data);
});
