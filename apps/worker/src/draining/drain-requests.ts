import { type IncomingMessage, type ServerResponse } from "node:http";
import { isLoopback } from "@genga/runtime";
import { type WorkerDrain } from "./worker-drain.ts";

/**
 * Whether a program of this machine (or of this pod) sent the request: neither a page in a browser, nor somebody behind a
 * proxy that runs here.
 */
export function isOfThisMachine({ socket, headers }: IncomingMessage): boolean {
  const { remoteAddress = "", localAddress } = socket;
  const isFromHere = remoteAddress === localAddress || isLoopback(remoteAddress.replace(/^::ffff:/, ""));
  const forwarding = ["origin", "sec-fetch-site", "forwarded", "x-forwarded-for", "via"];
  return isFromHere && forwarding.every((name) => headers[name] === undefined);
}

const waitSecondsMax = 3_600;

/** Begins or ends the drain, or waits for its end: for as many seconds as `wait` of the query says. */
export async function answerDrain(
  drain: WorkerDrain,
  { request, response, url }: { request: IncomingMessage; response: ServerResponse; url: URL },
  jobsHeld: () => number,
): Promise<void> {
  const { remoteAddress, remotePort } = request.socket;
  const why = `${url.pathname} of ${remoteAddress ?? "?"}:${remotePort ?? "?"}`;
  if (request.method === "POST" && url.pathname === "/drain") drain.begin(why);
  else if (request.method === "POST") drain.end(why);
  else {
    const text = url.searchParams.get("wait") ?? "0";
    const seconds = Number(text);
    if (!/^\d{1,4}$/.test(text) || seconds > waitSecondsMax) {
      send(response, 400, {
        status: "refused",
        reason: `wait is a whole number of seconds up to ${waitSecondsMax}`,
      });
      return;
    }
    const left = new AbortController();
    response.once("close", () => {
      left.abort();
    });
    await drain.settled(AbortSignal.any([left.signal, AbortSignal.timeout(seconds * 1_000)]));
  }
  send(response, drain.state === "draining" ? 202 : 200, { state: drain.state, jobsHeld: jobsHeld() });
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return;
  response
    .writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    .end(JSON.stringify(body));
}
