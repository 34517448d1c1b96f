import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { z } from "zod";

const usage = `npm run worker:drain     the worker of this machine takes no new jobs; ends when it has none any more
  -- --no-wait          does not wait until it is empty
  -- --resume           it takes jobs again
  -- --timeout N        seconds after which it gives up waiting (exit code 1); with it, a worker that does not answer
                        is asked again for a minute, since it may be starting
  -- --url URL          its health port; without it http://127.0.0.1:$WORKER_PORT`;

const answerSchema = z.object({ state: z.enum(["serving", "draining", "drained"]), jobsHeld: z.number() });
type Answer = z.infer<typeof answerSchema>;

/** Requests answer after so long at the latest, so that no connection seems to be idle to anybody. */
const waitSeconds = 20;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      "no-wait": { type: "boolean", default: false },
      resume: { type: "boolean", default: false },
      timeout: { type: "string" },
      url: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const url = values.url ?? urlFromPort(process.env["WORKER_PORT"]);
  const seconds = values.timeout === undefined ? Infinity : Number(values.timeout);
  if (!(seconds >= 0)) throw new Error("--timeout takes a number of seconds");
  if (values.resume) {
    await ask("POST", new URL("/resume", url));
    console.log("The worker takes jobs again.");
    return;
  }
  const until = performance.now() + seconds * 1_000;
  const patience = new Patience(values.timeout === undefined ? 0 : Math.min(seconds, unansweredSeconds));
  await waitUntilEmpty(url, { isWaiting: !values["no-wait"], until, patience });
}

/** For so long a worker may not answer, where a time-out is given: it is started again, or its machine is busy. */
const unansweredSeconds = 60;
const askAgainMs = 500;

/** How long no worker has answered. */
class Patience {
  readonly #seconds: number;
  #until: number | null = null;

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  noteAnswer(): void {
    this.#until = null;
  }

  /** @throws the error, if no worker has answered for too long */
  noteNoAnswer(error: NotReadyError): void {
    const now = performance.now();
    this.#until ??= now + this.#seconds * 1_000;
    if (now >= this.#until) throw error;
  }
}

/** The worker does not answer, or is starting: it waits for PostgreSQL or for its migrations. */
class NotReadyError extends Error {
  readonly isStarting: boolean;

  constructor(message: string, { isStarting, cause }: { isStarting: boolean; cause?: unknown }) {
    super(message, { cause });
    this.isStarting = isStarting;
  }
}

async function waitUntilEmpty(
  url: string,
  { isWaiting, until, patience }: { isWaiting: boolean; until: number; patience: Patience },
): Promise<void> {
  const say = sayOnce();
  let hasBegun = false;
  for (;;) {
    const leftSeconds = Math.max(0, (until - performance.now()) / 1_000);
    const wait = Math.ceil(Math.min(waitSeconds, leftSeconds));
    let answer: Answer;
    try {
      answer = hasBegun
        ? await ask("GET", new URL(`/drain?wait=${wait}`, url))
        : await ask("POST", new URL("/drain", url));
    } catch (error) {
      if (!(error instanceof NotReadyError) || performance.now() >= until) throw error;
      if (error.isStarting) patience.noteAnswer();
      else patience.noteNoAnswer(error);
      say(error.message);
      // A worker that starts (again) knows of no drain.
      hasBegun = false;
      await sleep(askAgainMs);
      continue;
    }
    patience.noteAnswer();
    hasBegun = true;
    const { state, jobsHeld } = answer;
    if (state === "serving") throw new Error("The worker was resumed before it was empty.");
    say(state === "drained" ? "The worker is empty." : `The worker has ${jobsHeld} jobs left.`);
    if (state === "drained" || !isWaiting) return;
    if (performance.now() >= until) throw new Error("The worker is not empty yet: given up after --timeout.");
  }
}

/** Prints each line once, as long as no other one comes between. */
function sayOnce(): (line: string) => void {
  let said = "";
  return (line) => {
    if (line !== said) console.log(line);
    said = line;
  };
}

async function ask(method: "GET" | "POST", url: URL): Promise<Answer> {
  let response, text;
  try {
    response = await fetch(url, { method });
    text = await response.text();
  } catch (error) {
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new NotReadyError(`No worker answers at ${url.origin}: ${why}`, {
      isStarting: false,
      cause: error,
    });
  }
  if (response.status === 503)
    throw new NotReadyError(`The worker at ${url.origin} is starting.`, { isStarting: true });
  if (!response.ok) throw new Error(`${url.origin} answered ${response.status}: ${text}`);
  return answerSchema.parse(JSON.parse(text));
}

function urlFromPort(port: string | undefined): string {
  if (port === undefined || port.trim() === "" || port === "0")
    throw new Error("Set WORKER_PORT to the port of the worker, or give --url.");
  return `http://127.0.0.1:${port.trim()}`;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
