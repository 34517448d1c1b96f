import { createProgram } from "./program.ts";
import { explain } from "./terminal/explain.ts";
import { exitCodes } from "./terminal/exit-codes.ts";
import { Terminal } from "./terminal/terminal.ts";

const interruption = new AbortController();
process.once("SIGINT", () => {
  interruption.abort(new Error("interrupted"));
});
// `genga ls | head` closes the pipe: nobody reads any more.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? exitCodes.ok : exitCodes.notCompleted);
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
