// A worker thread does not inherit its parent's TypeScript loader, so this plain file installs one first.
import { register } from "tsx/esm/api";

register();
await import("./drawing-worker.ts");
