import { parseArgs } from "node:util";
import { z } from "zod";

const usage = `npm run worker:drain     the worker of this machine takes no new jobs; ends when it has none any more
  -- --no-wait          does not wait until it is empty
  -- --resume           it takes jobs again
  -- --timeout N        seconds after which it gives up waiting (exit code 1)
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
  await waitUntilEmpty(url, { isWaiting: !values["no-wait"], until });
}

async function waitUntilEmpty(
  url: string,
  { isWaiting, until }: { isWaiting: boolean; until: number },
): Promise<void> {
  let said = "";
  for (let isFirst = true; ; isFirst = false) {
    const leftSeconds = Math.max(0, (until - performance.now()) / 1_000);
    const wait = Math.ceil(Math.min(waitSeconds, leftSeconds));
    const { state, jobsHeld } = isFirst
      ? await ask("POST", new URL("/drain", url))
      : await ask("GET", new URL(`/drain?wait=${wait}`, url));
    if (state === "serving") throw new Error("The worker was resumed before it was empty.");
    const line = state === "drained" ? "The worker is empty." : `The worker has ${jobsHeld} jobs left.`;
    if (line !== said) console.log((said = line));
    if (state === "drained" || !isWaiting) return;
    if (performance.now() >= until) throw new Error("The worker is not empty yet: given up after --timeout.");
  }
}

async function ask(method: "GET" | "POST", url: URL): Promise<Answer> {
  let response;
  try {
    response = await fetch(url, { method });
  } catch (error) {
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Error(`No worker answers at ${url.origin}: ${why}`, { cause: error });
  }
  const text = await response.text();
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
