import { createRequire } from "node:module";

/** The program that runs a TypeScript entry point: `node <launcher> <entry> [arguments]`. */
export const launcher = createRequire(import.meta.url).resolve("@genga/runtime/launch");
