import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readServersFile, type ServersFile } from "./servers-file.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-servers-file-"));
  await writeFile(join(folder, "token"), "s3cret-token\n");
  await writeFile(join(folder, "broken-token"), "two\nlines\n");
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const env = { PROXY_PASSWORD: "hunter2: ä" };

async function read(text: string): Promise<ServersFile> {
  const path = join(folder, "servers.yaml");
  await writeFile(path, text);
  return await readServersFile({ path, env, serverName: "pod-7", slots: 2 });
}

const messageOf = async (text: string): Promise<string> => {
  try {
    await read(text);
  } catch (error) {
    return String(error);
  }
  throw new Error("The file was accepted.");
};

test("names servers with slots, labels and credentials, whose secrets are elsewhere", async () => {
  const { servers, authorizations } = await read(`
credentials:
  studio: { basic: { user: studio, passwordEnv: PROXY_PASSWORD } }
  gateway: { bearer: { tokenFile: token } }
servers:
  - url: HTTP://GPU-1:8188/
    slots: 4
    labels: [pool:night, gpu:24gb, pool:night]
    credential: studio
  - url: https://gpu-2.example/comfy
    credential: gateway
  - url: http://localhost:8188
`);
  const plain = {
    slots: 2,
    labels: [],
    source: "file",
    credential: null,
    resolvedFrom: null,
  };
  const address = (url: string): object => ({ address: { identity: url, url, credentials: undefined } });
  expect(servers).toEqual([
    {
      ...plain,
      ...address("http://gpu-1:8188"),
      slots: 4,
      labels: ["gpu:24gb", "pool:night"],
      credential: "studio",
    },
    { ...plain, ...address("https://gpu-2.example/comfy"), credential: "gateway" },
    {
      ...plain,
      address: {
        identity: "http://localhost:8188#pod-7",
        url: "http://localhost:8188",
        credentials: undefined,
      },
    },
  ]);
  expect(Object.fromEntries(authorizations)).toEqual({
    studio: `Basic ${Buffer.from("studio:hunter2: ä").toString("base64")}`,
    gateway: "Bearer s3cret-token",
  });
});

test("lists to which origins the API may have credentials sent, beside those of its own servers", async () => {
  const { origins } = await read(`
credentials:
  studio: { basic: { user: studio, passwordEnv: PROXY_PASSWORD }, origins: ["HTTPS://GPU-3.example:443/"] }
  gateway: { bearer: { tokenFile: token } }
servers:
  - { url: "https://gpu-2.example/comfy", credential: studio }
  - { url: "https://gpu-4.example" }
`);
  expect(Object.fromEntries(origins)).toEqual({
    studio: new Set(["https://gpu-3.example", "https://gpu-2.example"]),
    gateway: new Set(),
  });
});

test("may be JSON, and may name no servers", async () => {
  expect((await read('{"servers": [{"url": "http://gpu-1"}]}')).servers).toHaveLength(1);
  expect((await read("servers: []")).servers).toEqual([]);
});

describe("is refused with the line and the field", () => {
  const server = (field: string): string =>
    `servers:\n  - url: http://gpu-1\n  - url: http://gpu-2\n    ${field}\n`;
  const bearer = (from: string): string => `servers: []\ncredentials:\n  a:\n    bearer: ${from}\n`;
  test.each([
    ["an empty file, as of a program that is about to write it", "", "is empty"],
    ["broken YAML", 'servers:\n  - url: "http://gpu-1\n', "line 3: not YAML or JSON"],
    ["a file cut off in mid-JSON", '{"servers": [{"url": "http://gpu-1"}', "not YAML or JSON"],
    ["no list of servers", "credentials: {}\n", "servers"],
    ["an unknown field", server("lables: [a]"), "line 4: servers[1].lables: there is no such field"],
    [
      "a name that is to be resolved to several servers",
      server("resolve: true"),
      "line 4: servers[1].resolve: there is no such field",
    ],
    ["slots out of range", server("slots: 17"), "line 4: servers[1].slots: "],
    ["a label that is none", server("labels: [a, GPU]"), "line 4: servers[1].labels[1]: 1 to 64 lower-case"],
    [
      "credentials that the file lacks",
      server("credential: none"),
      "line 4: servers[1].credential: no credentials",
    ],
    [
      "user and password in a URL",
      `servers:\n  - url: http://u:hunter2@gpu-1\n`,
      "line 2: servers[0].url: without user",
    ],
    [
      "a URL that no index takes",
      server("").replace("gpu-2", "gpu-2/" + "é".repeat(400)),
      "line 3: servers[1].url: a URL of",
    ],
    ["a query", `servers:\n  - url: http://gpu-1?hunter2\n`, "line 2: servers[0].url: a URL of at most"],
    [
      "a server named twice",
      `${server("")}  - url: http://GPU-1/\n`,
      "line 5: servers[2].url: the same server as",
    ],
    [
      "a secret in the file itself",
      bearer("{token: hunter2}"),
      "line 4: credentials.a.bearer.token: there is no such field",
    ],
    ...["gpu-3", "*", "https://gpu-3/comfy", "https://u:hunter2@gpu-3", "https://gpu-3?a"].map((origin) => [
      `${origin.replace("hunter2", "…")} as an origin`,
      `${bearer("{tokenFile: token}")}    origins: [https://gpu-2, "${origin}"]\n`,
      "line 5: credentials.a.origins[1]: an origin: http",
    ]),
    [
      "two places for a secret",
      bearer("{tokenEnv: A, tokenFile: token}"),
      "credentials.a.bearer: either tokenEnv",
    ],
    [
      "a variable that is not set",
      bearer("{tokenEnv: NOT_SET}"),
      "line 4: credentials.a.bearer.tokenEnv: the secret",
    ],
    ["a secret file that is missing", bearer("{tokenFile: nowhere}"), "the file cannot be read (ENOENT)"],
    ["a secret of two lines", bearer("{tokenFile: broken-token}"), "characters that no header can contain"],
    ["an alias of nothing", "servers: [*a]\n", "its aliases cannot be followed"],
  ])("%s", async (_name, text, why) => {
    const message = await messageOf(text);
    expect(message).toContain(why);
    expect(message).not.toContain("hunter2");
  });
});
