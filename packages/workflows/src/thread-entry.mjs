import { workerData } from "node:worker_threads";
import { importCompiled } from "@genga/runtime/import-compiled";

await importCompiled(new URL(workerData.entry));
