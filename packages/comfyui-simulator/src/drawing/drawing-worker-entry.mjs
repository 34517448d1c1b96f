// What the drawing thread begins with: a thread can be started with JavaScript only.
import { importCompiled } from "@genga/runtime/import-compiled";

await importCompiled(new URL("./drawing-worker.ts", import.meta.url));
