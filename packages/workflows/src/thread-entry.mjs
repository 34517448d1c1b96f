// Sources run as they are (docs/decisions/0003), in threads as well: a thread has to register tsx by itself.
import { workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
await import(workerData.entry);
