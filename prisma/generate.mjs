// Generates the database client into packages/database/src/generated (`npm run generate`).
//
// Prisma's command line insists that its schema engine exists, although generating never starts it. Any existing file
// will do, so this very Node is named: nothing is downloaded. Plain Node, because it runs before anything is built.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const prisma = join(
  dirname(createRequire(import.meta.url).resolve("prisma/package.json")),
  "build",
  "index.js",
);

const { status, error } = spawnSync(process.execPath, [prisma, "generate", "--no-hints"], {
  cwd: project,
  stdio: "inherit",
  env: {
    ...process.env,
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: "1",
    CHECKPOINT_DISABLE: "1",
  },
});
if (error) throw error;
process.exitCode = status ?? 1;
