// Runs a TypeScript entry point in this process, in its compiled form (docs/decisions/0003-no-build-step.md):
//
//   node packages/runtime/src/launch/launch.mjs apps/api/src/main.ts [arguments]
//
// The program sees the arguments that it would see if node had been started with the entry point itself.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { importCompiled } from "./import-compiled.mjs";

const [node, , entry, ...args] = process.argv;
if (entry === undefined) {
  console.error("usage: node launch.mjs <entry.ts> [arguments]");
  process.exit(2);
}
const path = resolve(entry);
process.argv = [node, path, ...args];
await importCompiled(pathToFileURL(path));
