import { expect, test } from "@jest/globals";
import { ComfyUIError, type ComfyUIErrorCode } from "@genga/comfyui";
import { pino } from "pino";
import { forgetPrompts } from "./forget-prompts.ts";

test.each<[ComfyUIErrorCode, boolean]>([
  ["request_refused", true],
  ["bad_reply", true],
  ["access_denied", false],
  ["server_unreachable", false],
])("after %s the entry counts as gone: %s", async (code, isGone) => {
  const connector = { deleteHistory: () => Promise.reject(new ComfyUIError(code, "no")) };
  expect(await forgetPrompts(connector, ["p"], { log: pino({ enabled: false }) })).toBe(isGone);
});
