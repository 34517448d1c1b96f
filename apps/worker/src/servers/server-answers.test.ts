import { describe, expect, test } from "@jest/globals";
import { notGenga } from "./server-answers.ts";

describe("a server", () => {
  test("that says it is Genga is none: a farm is no server of itself", () => {
    const stats = { system: { comfyui_version: "0.28.0" }, devices: [] };
    expect(notGenga(stats)).toBe(stats);
    expect(() => notGenga({ ...stats, genga: { version: "0.1.0", servers: 3 } })).toThrow(/it is Genga/);
  });
});
