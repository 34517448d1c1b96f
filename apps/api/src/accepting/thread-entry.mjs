import { importCompiled } from "@genga/runtime/import-compiled";

export const { work } = await importCompiled(new URL("./thread-main.ts", import.meta.url));
