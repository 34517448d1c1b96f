import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { findAddresses, lookUpByDns, NoAddressError, type LookUp } from "../addresses/find-addresses.ts";
import { urlProblem, type UrlRules } from "../addresses/webhook-url.ts";

export interface SenderOptions extends UrlRules {
  /** For the whole request, from the lookup of the name to the end of the answer. */
  readonly timeoutMs: number;
  readonly lookUp?: LookUp;
  /** Certificates of authorities that are trusted besides the known ones, as PEM. */
  readonly trusted?: string;
}

/** How an attempt ended. What the receiver answered besides its status is never kept: it may not be the tenant's to read. */
export type Outcome =
  | { readonly kind: "answered"; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly kind: "failed"; readonly reason: string };

/** Of an answer's body so much is received before the connection is closed. */
const answerBytesMax = 64 * 1024;
const headBytesMax = 16 * 1024;
const retryAfterMaxMs = 24 * 60 * 60_000;

/**
 * Sends the requests of webhooks. The addresses of a host are looked up and checked for each request, and the connection
 * goes to one of those that were checked, under the host's name (`Host`, SNI, certificate): a name that leads elsewhere a
 * moment later changes nothing. Redirects are not followed.
 */
export class WebhookSender {
  readonly #options: SenderOptions;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** @param signal ends the request; then this rejects with the signal's reason */
  async post(
    target: string,
    { body, headers, signal }: { body: string; headers: Record<string, string>; signal: AbortSignal },
  ): Promise<Outcome> {
    const { timeoutMs, addresses: rules, lookUp = lookUpByDns } = this.#options;
    // The rules may be stricter by now than when the webhook was stored.
    const problem = urlProblem(target, this.#options);
    if (problem !== null) return { kind: "failed", reason: `The URL ${problem}.` };
    const url = new URL(target);
    const timeUp = AbortSignal.timeout(timeoutMs);
    const ending = AbortSignal.any([signal, timeUp]);
    try {
      const addresses = await orAbort(findAddresses(url, { rules, lookUp, signal: ending }), ending);
      return await this.#send(url, { addresses, body, headers, ending });
    } catch (error) {
      signal.throwIfAborted();
      if (timeUp.aborted)
        return { kind: "failed", reason: `There was no answer within ${timeoutMs / 1_000} s.` };
      return { kind: "failed", reason: reasonOf(error) };
    }
  }

  #send(
    url: URL,
    given: {
      addresses: readonly string[];
      body: string;
      headers: Record<string, string>;
      ending: AbortSignal;
    },
  ): Promise<Outcome> {
    const { body, headers, ending, addresses } = given;
    const { trusted } = this.#options;
    return new Promise((resolve, reject) => {
      const send = url.protocol === "https:" ? httpsRequest : httpRequest;
      const request: ClientRequest = send(url, {
        method: "POST",
        // A connection of its own, closed afterwards: no connection to an address that was checked long ago is used.
        agent: false,
        lookup: lookupIn(addresses),
        maxHeaderSize: headBytesMax,
        signal: ending,
        ...(trusted !== undefined && { ca: trusted }),
        headers: {
          ...headers,
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          "user-agent": "Genga-Webhooks",
          connection: "close",
        },
      });
      request.on("error", reject);
      // Anything but an ordinary answer: the receiver wants to speak another protocol.
      request.on("upgrade", (_answer, socket) => {
        socket.destroy();
        resolve({ kind: "answered", status: 101, retryAfterMs: null });
      });
      request.on("response", (answer) => {
        const outcome: Outcome = {
          ...{ kind: "answered", status: answer.statusCode ?? 0 },
          retryAfterMs: retryAfterOf(answer.headers["retry-after"]),
        };
        receive(answer).then(() => {
          resolve(outcome);
        }, reject);
      });
      request.end(body);
    });
  }
}

/** Gives the connection the addresses that were checked, whatever the name leads to by now. */
function lookupIn(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_name, options, done) => {
    const [first] = found;
    // Never within the call that asks.
    process.nextTick(() => {
      if (options.all === true) done(null, found);
      else if (first === undefined) done(new NoAddressError(), "");
      else done(null, first.address, first.family);
    });
  };
}

/** Receives the body up to a bound, and keeps nothing of it. */
function receive(answer: IncomingMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    answer.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes < answerBytesMax) return;
      resolve();
      answer.destroy();
    });
    answer.on("end", resolve);
    answer.on("error", reject);
    answer.on("close", () => {
      reject(new Error("closed"));
    });
  });
}

/** `Retry-After` in seconds or as a date. */
function retryAfterOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), retryAfterMaxMs) : null;
}

function orAbort<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", end);
    });
  });
}

const reasons: Partial<Record<string, string>> = {
  ECONNREFUSED: "The connection was refused.",
  ECONNRESET: "The connection was reset before the answer.",
  EPIPE: "The connection was closed before the answer.",
  EHOSTUNREACH: "The host could not be reached.",
  ENETUNREACH: "The host could not be reached.",
  ETIMEDOUT: "The connection could not be made in time.",
  HPE_HEADER_OVERFLOW: "The head of the answer was too large.",
};

/** In plain words, and without an address: the message of an error may name one. */
function reasonOf(error: unknown): string {
  if (error instanceof NoAddressError) return error.message;
  const code = codeOf(error);
  const known = reasons[code];
  if (known !== undefined) return known;
  if (code.startsWith("HPE_")) return "The answer was not HTTP.";
  if (/CERT|SELF_SIGNED|SIGNATURE|UNABLE_TO|ALTNAME/.test(code))
    return `The certificate was not accepted (${code}).`;
  if (/^(ERR_SSL|EPROTO|ERR_TLS)/.test(code)) return "A TLS connection could not be made.";
  return "The connection ended before the whole answer had come.";
}

/** The code of an error of Node; where several addresses were tried, that of the first one. */
function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  if ("errors" in error && Array.isArray(error.errors)) return codeOf(error.errors[0]);
  return "code" in error && typeof error.code === "string" ? error.code : "";
}
