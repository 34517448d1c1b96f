import { expect, test } from "@jest/globals";
import { runHook } from "./run-hook.ts";

const run = (words: readonly string[], signal = new AbortController().signal): ReturnType<typeof runHook> =>
  runHook(words, { env: {}, timeoutMs: 60_000, signal });

test.each([
  ["there is no such program", ["/nonexistent/program"]],
  ["a part of its path is a file", [`${process.execPath}/program`]],
  ["an argument is longer than the kernel takes", [process.execPath, "x".repeat(4_000_000)]],
  ["an argument contains a NUL", [process.execPath, "a\0b"]],
])("a hook fails, and nothing is thrown, if %s", async (_, words) => {
  expect(await run(words)).toEqual({
    succeeded: false,
    message: expect.stringMatching(/^The hook could not be started: /),
  });
});

test("a hook that runs is told by its exit code and output", async () => {
  expect(await run([process.execPath, "-e", "console.log('gone'); process.exit(3)"])).toEqual({
    succeeded: false,
    message: "The hook ended with 3. Its last output: gone",
  });
  expect(await run([process.execPath, "-e", ""])).toEqual({
    succeeded: true,
    message: "The hook ended with 0.",
  });
});

test("a hook ends when its worker stops", async () => {
  const ended = await run([process.execPath, "-e", "setInterval(() => {}, 1000)"], AbortSignal.abort());
  expect(ended).toEqual({ succeeded: false, message: expect.stringMatching(/^The hook was ended: /) });
});
