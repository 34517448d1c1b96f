import { createProgram } from "./program.ts";
import { explain } from "./terminal/explain.ts";
import { exitCodes } from "./terminal/exit-codes.ts";
import { Terminal } from "./terminal/terminal.ts";

// What has begun is ended in order: what was downloaded so far stays. A second signal ends the process at once.
const interruption = new AbortController();
let interruptedCode: number = exitCodes.interrupted;
const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated, SIGHUP: exitCodes.hungUp };
const signals = Object.keys(codes) as (keyof typeof codes)[];
function interrupt(signal: NodeJS.Signals): void {
  for (const each of signals) process.off(each, interrupt);
  interruptedCode = codes[signal as keyof typeof codes];
  interruption.abort(new Error("interrupted"));
}
for (const each of signals) process.on(each, interrupt);
// `genga ls | head` closes the pipe, and SIGHUP says that the terminal is gone. Nobody reads any more, but what the command does it
// does to its end.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
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
    ? interruptedCode
    : explain(error, new Terminal(process.stdout, process.stderr, isJson));
}
