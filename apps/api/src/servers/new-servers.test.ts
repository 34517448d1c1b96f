import { randomBytes } from "node:crypto";
import { expect, test } from "@jest/globals";
import { InvalidJobError, openSecretBox, serverAuthorizationIdentity } from "@genga/jobs";
import { NewServers } from "./new-servers.ts";

const secretsKeys = [randomBytes(32).toString("base64")];
const withKey = new NewServers({ addedServersMax: 9, serverSlots: 3, secretsKeys });
const url = "http://gpu-1:8188";

function problemOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidJobError) return error.problems;
    throw error;
  }
}

test("credentials are refused without a SECRETS_KEY, with what to set; the name of credentials is not", () => {
  const withoutKey = new NewServers({ addedServersMax: 9, serverSlots: 3, secretsKeys: [] });
  const authorization = { bearer: { token: "s3cret" } };
  expect(problemOf(() => withoutKey.read({ url, authorization }))).toEqual([
    {
      path: "authorization",
      code: "secrets-key-missing",
      message: expect.stringContaining("SECRETS_KEY is not set here"),
    },
  ]);
  expect(withoutKey.read({ url, credential: "gateway" })).toMatchObject({
    credential: "gateway",
    seal: null,
  });
});

test("credentials are encrypted for the row of one server only", () => {
  const { seal } = withKey.read({ url, authorization: { basic: { user: "studio", password: "s3cret: ä" } } });
  const sealed = seal!("row-1");
  const box = openSecretBox(secretsKeys)!;
  expect(box.open(sealed, serverAuthorizationIdentity("row-1"))).toBe(
    `Basic ${Buffer.from("studio:s3cret: ä").toString("base64")}`,
  );
  expect(() => box.open(sealed, serverAuthorizationIdentity("row-2"))).toThrow();
});

test("a server has one spelling of its URL, its labels in order, and slots of the setting unless it names them", () => {
  const server = { url: "HTTP://GPU-1:8188/", labels: ["pool:night", "gpu:24gb", "pool:night"] };
  expect(withKey.read(server)).toEqual({
    ...{ url, slots: 3, labels: ["gpu:24gb", "pool:night"], credential: null, seal: null },
  });
});

test.each([
  "gpu-1:8188",
  "ftp://gpu-1",
  "http://u:s3cret@gpu-1",
  "http://gpu-1?s3cret",
  "http://gpu-1#s3cret",
])("the URL %s is refused, and not repeated", (wrong) => {
  const problems = problemOf(() => withKey.read({ url: wrong }));
  expect(problems).toEqual([expect.objectContaining({ path: "url", code: "invalid-value" })]);
  expect(JSON.stringify(problems)).not.toContain("s3cret");
});
