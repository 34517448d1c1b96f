import { buildJob } from "@genga/testing";
import { describe, expect, test } from "@jest/globals";
import { reuseHashOf } from "../src/jobs/accepting/reuse-hash.ts";

const graph = "ab".repeat(32);

describe("What decides a job's outputs", () => {
  test("is its graph, with what is stored of them, and how; not how it is labelled or treated", () => {
    const plain = reuseHashOf(buildJob(), graph);
    expect(plain).toMatch(/^[0-9a-f]{64}$/);
    const same = [
      buildJob({ parameters: { prompt: "x", keepPreviews: false, stripMetadata: false } }),
      buildJob({ project: "another", priority: "urgent", mayReuse: true, key: "a", timeoutMs: 7 }),
      buildJob({ parameters: { extraData: {} } }),
    ];
    for (const job of same) expect(reuseHashOf(job, graph)).toBe(plain);
    const others = [
      buildJob({ parameters: { keepPreviews: true } }),
      buildJob({ parameters: { stripMetadata: true } }),
      buildJob({ parameters: { extraData: { preview_method: "auto" } } }),
      buildJob({ extraDataText: '{"preview_method":1.0}' }),
    ].map((job) => reuseHashOf(job, graph));
    expect(new Set([plain, reuseHashOf(buildJob(), "cd".repeat(32)), ...others]).size).toBe(6);
  });

  test("is not known of a job with secrets, or with files that do not exist yet", () => {
    const inputs = [{ name: "genga/x.png", from: "a", output: 0, kind: null }];
    expect(reuseHashOf(buildJob({ sealedExtraData: new Uint8Array([1]) }), graph)).toBeNull();
    expect(reuseHashOf(buildJob({ inputs }), graph)).toBeNull();
  });
});
