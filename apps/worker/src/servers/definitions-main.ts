/** Runs in a thread: reads definitions, over a database connection of its own. */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "@genga/database";
import { serveDefinitions } from "@genga/workflows/definitions";
import { z } from "zod";

const { databaseUrl } = z.object({ databaseUrl: z.string() }).parse(workerData);
if (parentPort === null) throw new Error("This module runs in a worker thread only.");
const { servers } = openDatabase({ databaseUrl, applicationName: "genga-worker-definitions", poolMax: 1 });
serveDefinitions(parentPort, servers);
