/** The thread that takes large submissions, with connections of its own. */
import { hostname } from "node:os";
import { threadId } from "node:worker_threads";
import { type NotChecked } from "@genga/comfyui";
import { openDatabase } from "@genga/database";
import { createSignals, createTicketQueue } from "@genga/queue";
import { createLogger, endOutput } from "@genga/runtime";
import { openOutputStorage } from "@genga/storage";
import { findDefinitions } from "@genga/workflows";
import { move, transferableSymbol, valueSymbol, workerData } from "piscina";
import { refusalOf } from "../http/error-mapping.ts";
import { createAcceptingParts } from "./accepting-parts.ts";
import { answerOnce } from "./answer-once.ts";
import {
  type NotCheckedSummary,
  type Refusal,
  type ThreadReply,
  type ThreadSettings,
  type ThreadTask,
} from "./thread-messages.ts";

/** Statements of a few large submissions at once. */
const poolMax = 4;
/** Classes of which one note goes to the main thread with one answer. */
const classesMax = 1_000;

const { settings, defaultTenantId, serversMaxAgeMs } = workerData as ThreadSettings;
const logger = createLogger({ name: "api", level: settings.logLevel }).child({ thread: "submissions" });
const { databaseUrl, tenantLimits: limits, lanesMax } = settings;
const database = openDatabase({
  ...{ databaseUrl, limits, lanesMax, poolMax },
  applicationName: "genga-api-submissions",
});
const redis = { redisUrl: settings.redisUrl, prefix: settings.redisPrefix, logger };
const tickets = createTicketQueue(redis);
const signals = createSignals(redis);
const storage = await openOutputStorage(settings.storage, settings.dataDir);
const notes = new Map<string, NotChecked>();
let notesCount = 0;

const { manager, jobCommands, prompts } = createAcceptingParts(
  settings,
  {
    ...{ database, tickets, signals, storage, defaultTenantId, logger },
    definitions: { find: (hash) => findDefinitions(hash, database.servers) },
    onNotChecked: (more) => {
      notesCount += more.length;
      for (const note of more) if (notes.size < classesMax) notes.set(note.classType, note);
    },
  },
  { name: `api-${hostname()}-${process.pid}-${threadId}`, serversMaxAgeMs },
);

/** The work of the thread. A refusal is an answer as well; what is thrown here is a fault of the thread itself. */
export async function work(task: ThreadTask): Promise<ThreadReply | ReturnType<typeof move>> {
  if (task.kind === "end") return end();
  try {
    const accepted = await answerOnce(task.submission, {
      ...{ jobCommands, prompts },
      jobs: database.jobReader,
      idempotency: database.idempotency,
    });
    // The bytes of the answer are moved, not copied.
    return move({
      [valueSymbol]: { kind: "accepted", notChecked: takeNotes(), ...accepted } satisfies ThreadReply,
      [transferableSymbol]: accepted.answer.buffer,
    });
  } catch (error) {
    return { kind: "refused", ...describeRefusal(error) };
  }
}

/** Jobs that were accepted get their tickets first. */
async function end(): Promise<ThreadReply> {
  await manager.announced();
  await Promise.allSettled([tickets.close(), signals.close()]);
  await database.close();
  await endOutput();
  return { kind: "ended" };
}

function takeNotes(): NotCheckedSummary {
  const summary = { count: notesCount, ofClasses: [...notes.values()] };
  notes.clear();
  notesCount = 0;
  return summary;
}

function describeRefusal(error: unknown): Refusal {
  const refusal = refusalOf(error, { purpose: "submit" });
  const { code, message: detail, problems, headers, limit, cause } = refusal;
  return { code, detail, problems, headers, limit, cause: cause instanceof Error ? cause.stack : undefined };
}
