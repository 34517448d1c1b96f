import { createProgram } from "./program.ts";
import { explain } from "./terminal/explain.ts";
import { exitCodes } from "./terminal/exit-codes.ts";
import { Terminal } from "./terminal/terminal.ts";

const interruption = new AbortController();
process.once("SIGINT", () => {
  interruption.abort(new Error("interrupted"));
});
// `genga ls | head` closes the pipe. Nobody reads any more, but what the command does it does to its end.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });

const program = createProgram({
  ...{ env: process.env, signal: interruption.signal },
  exitWith: (code) => {
    process.exitCode = code;
  },
});
try {
  await program.parseAsync(process.argv);
} catch (error) {
  const isJson = process.argv.includes("--json");
  process.exitCode = interruption.signal.aborted
    ? exitCodes.interrupted
    : explain(error, new Terminal(process.stdout, process.stderr, isJson));
}
