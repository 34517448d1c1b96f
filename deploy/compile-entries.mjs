// Run while the image is built (deploy/Dockerfile): compiles every entry point that runs in a container, since nothing can be
// written there later (docs/decisions/0003-no-build-step.md).
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileEntry } from "../packages/runtime/src/launch/compile-entry.mjs";
import { defaultCacheFolder } from "../packages/runtime/src/launch/compiled-entry.mjs";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const entries = [
  "apps/api/src/main.ts",
  "apps/api/src/accepting/thread-main.ts",
  "apps/api/src/servers/definitions-main.ts",
  "apps/worker/src/main.ts",
  "apps/worker/src/draining/drain-main.ts",
  "apps/worker/src/servers/definitions-main.ts",
  "apps/worker/src/sweeping/retention-main.ts",
  "apps/standalone/src/keys/keys-main.ts",
  "packages/database/src/migrations/migrate-main.ts",
  "packages/comfyui-simulator/src/main.ts",
  "packages/comfyui-simulator/src/drawing/drawing-worker.ts",
];

for (const entry of entries) await compileEntry(join(project, entry), defaultCacheFolder);
