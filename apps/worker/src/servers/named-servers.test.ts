import { expect, test } from "@jest/globals";
import { type ServerRecord } from "@genga/jobs";
import { namedByRow } from "./named-servers.ts";

const reached = (url: string, source: ServerRecord["source"], serverName?: string): string | undefined => {
  const row = { url, source, slots: 1, labels: [], resolvedFrom: null, credential: null };
  return namedByRow(row as unknown as ServerRecord, serverName)?.address.url;
};

test("a worker whose machine has a name never takes a loopback server of the API that was left behind", () => {
  for (const url of ["http://127.0.0.1:8188", "http://localhost:8188", "http://[::1]:8188"]) {
    expect(reached(url, "api", "pod-7")).toBeUndefined();
    expect(reached(url, "api")).toBe(url);
    expect(reached(`${url}#pod-7`, "file", "pod-7")).toBe(url);
    expect(reached(`${url}#pod-7`, "file", "pod-8")).toBeUndefined();
  }
  expect(reached("http://gpu-1:8188", "api", "pod-7")).toBe("http://gpu-1:8188");
});
