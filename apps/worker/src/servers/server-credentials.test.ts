import { expect, test } from "@jest/globals";
import { ComfyUIError } from "@genga/comfyui";
import { type NamedServer } from "@genga/runtime";
import { ServerCredentials } from "./server-credentials.ts";

const named = (credential: string): NamedServer => ({
  ...{ address: { identity: "http://gpu", url: "http://gpu", credentials: undefined }, slots: 1, labels: [] },
  ...{ source: "file", credential, resolvedFrom: null },
});

function setUp(credential: string, secrets: Record<string, string>) {
  const file = { server: named(credential) as NamedServer | undefined, secrets };
  const sources = {
    authorizationFor: (server: Pick<NamedServer, "credential">) => {
      const known = file.secrets[server.credential ?? ""];
      if (known === undefined) throw new ComfyUIError("access_denied", "unknown");
      return known;
    },
  };
  const taken = named(credential);
  return { file, credentials: new ServerCredentials({ sources, named: taken, namedNow: () => file.server }) };
}

test("a server that was taken out with its credentials is asked with the last ones, a renamed one too", () => {
  const { file, credentials } = setUp("old", { old: "first" });
  Object.assign(file, { server: named("new"), secrets: { new: "second" } });
  expect(credentials.authorization()).toBe("second");
  Object.assign(file, { server: undefined, secrets: {} });
  expect(credentials.authorization()).toBe("second");
});

test("without one request between, the credentials of when it was taken count", () => {
  const { file, credentials } = setUp("old", { old: "first" });
  Object.assign(file, { server: undefined, secrets: { new: "second" } });
  expect(credentials.authorization()).toBe("first");
});

test("a secret that changes while the server ends its work counts, and one that was never known does not", () => {
  const { file, credentials } = setUp("kept", { kept: "first" });
  Object.assign(file, { server: undefined, secrets: { kept: "second" } });
  expect(credentials.authorization()).toBe("second");
  expect(() => setUp("unknown", {}).credentials.authorization()).toThrow("unknown");
});
