#!/usr/bin/env node
import { importCompiled } from "../../../packages/runtime/src/launch/import-compiled.mjs";

await importCompiled(new URL("../src/main.ts", import.meta.url));
