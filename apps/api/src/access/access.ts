import { roleIncludes, StoreUnavailableError, type Principal, type Role, type Tenant } from "@genga/jobs";
import { isLoopback } from "@genga/runtime";
import { type Request, type RequestHandler, type Response } from "express";
import { type ConfiguredKeys } from "./configured-keys.ts";
import { isOfAllowedOrigin } from "../http/cross-origin.ts";
import { type MadeKeys } from "./made-keys.ts";
import { type Metrics } from "../http/metrics.ts";
import { RefusedError } from "../http/problem-document.ts";
import { type WrongKeys } from "./wrong-keys.ts";

/** The lowest role whose keys may use the route; `open` = everybody may, without a key. */
export type RouteAccess = "open" | Role;

/** Who may use a route, and in which ways a request may carry its key. */
export interface Entry {
  readonly access: RouteAccess;
  /** The route is a page for browsers, which may send the key as the password of Basic authentication. */
  readonly isPage?: true;
}

export interface AccessOptions {
  defaultTenant: Tenant;
  configuredKeys: ConfiguredKeys;
  madeKeys: MadeKeys;
  /** True when the API listens on loopback only; it then serves requests without keys as long as no key exists. */
  isOnLoopback: boolean;
  wrongKeys: WrongKeys;
  counter: Metrics["wrongKeys"];
}

/**
 * Decides who sent a request and whether that sender may use the route. As soon as any key exists, every request needs
 * one. Before that, only requests to a name of this machine are served.
 */
export class Access {
  readonly #options: AccessOptions;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** Makes the middleware that finds the sender of a request and refuses one whose role is too low for the route. */
  require({ access, isPage }: Entry): RequestHandler {
    if (access === "open") {
      return (_request, _response, next) => {
        next();
      };
    }
    return async (request, response, next) => {
      const key = sentKeyOf(request, isPage);
      const principal = await this.#principalOf(key, request.ip ?? "", isPage === true ? "Basic" : "Bearer");
      response.locals["principal"] = principal;
      if (!roleIncludes(principal.role, access)) {
        throw new RefusedError(
          "role-too-low",
          `This needs a key with the role ${access}; the key "${principal.keyName}" has the role ${principal.role}.`,
        );
      }
      next();
    };
  }

  /**
   * Without keys this API serves everybody on this machine, and nobody else. A page elsewhere could let its own host name
   * resolve to loopback (DNS rebinding); such a request names a foreign host, and is refused.
   */
  readonly refuseForeignHosts: RequestHandler = (request, _response, next) => {
    const host = hostNameOf(`http://${request.headers.host ?? ""}`);
    if (!this.needsKey && (host === undefined || !isLoopback(host))) {
      throw new RefusedError(
        "host-not-allowed",
        "Without API keys only names of this machine, such as localhost, are served.",
      );
    }
    next();
  };

  /**
   * A page elsewhere could post to an API without keys; such a request names a foreign origin, and is refused, unless the
   * operator has allowed the origin.
   */
  readonly refuseForeignPages: RequestHandler = (request, response, next) => {
    const { host, origin } = request.headers;
    const isWrite = request.method !== "GET" && request.method !== "HEAD" && request.method !== "OPTIONS";
    if (
      !this.needsKey &&
      isWrite &&
      origin !== undefined &&
      !isOfAllowedOrigin(response) &&
      new URL(`http://${host ?? ""}`).host !== hostOf(origin)
    ) {
      throw new RefusedError("origin-not-allowed", "Pages of other origins may not change anything here.");
    }
    next();
  };

  /** For open routes: whether the request came with a key of the role `operate`. Never refuses a request. */
  async mayOperate(request: Request): Promise<boolean> {
    try {
      return (await this.#principalOf(keyOf(request), request.ip ?? "", "Bearer")).role === "operate";
    } catch (error) {
      if (error instanceof RefusedError || error instanceof StoreUnavailableError) return false;
      throw error;
    }
  }

  /** Which of these keys still work; `""` stands for a request without a key. @throws StoreUnavailableError */
  async findWorking(keys: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { configuredKeys, madeKeys } = this.#options;
    if (!this.needsKey && !(await madeKeys.areThere())) return keys;
    const made = [...keys].filter((key) => key !== "" && configuredKeys.find(key) === undefined);
    const working = await madeKeys.findWorking(made);
    return new Set([...keys].filter((key) => working.has(key) || configuredKeys.find(key) !== undefined));
  }

  /** Whether requests need a key, as far as this process knows. If not, everybody on this machine may do everything. */
  get needsKey(): boolean {
    const { configuredKeys, isOnLoopback, madeKeys } = this.#options;
    return configuredKeys.size > 0 || !isOnLoopback || madeKeys.wereThere;
  }

  async #principalOf(
    key: string | undefined,
    address: string,
    scheme: "Bearer" | "Basic",
  ): Promise<Principal> {
    if (!this.needsKey && !(await this.#options.madeKeys.areThere())) {
      return { tenant: this.#options.defaultTenant, role: "operate", keyName: "(no key, on loopback)" };
    }
    const headers = { "www-authenticate": `${scheme} realm="genga"` };
    if (key === undefined) {
      throw new RefusedError(
        "key-missing",
        "Send an API key as `Authorization: Bearer …` or as `X-API-Key`.",
        { headers },
      );
    }
    const { wrongKeys, counter } = this.#options;
    const seconds = wrongKeys.secondsToWait(address, key);
    if (seconds > 0) {
      counter.inc({ outcome: "held-up" });
      throw new RefusedError(
        "too-many-wrong-keys",
        "Too many wrong keys came from this address; this key was not checked.",
        { headers: { "retry-after": String(seconds) } },
      );
    }
    const { configuredKeys, madeKeys } = this.#options;
    const principal = configuredKeys.find(key) ?? (await madeKeys.find(key));
    if (principal === undefined) {
      wrongKeys.noteWrong(address);
      wrongKeys.forget(address, key);
      counter.inc({ outcome: "refused" });
      throw new RefusedError("key-unknown", "The API key is not known, or was revoked.", { headers });
    }
    wrongKeys.noteRight(address, key);
    return principal;
  }
}

/** The sender of the request that this response answers. */
export function principalOf(response: Response): Principal {
  const principal = response.locals["principal"] as Principal | undefined;
  if (principal === undefined) throw new Error("An open route has no principal.");
  return principal;
}

/** The key that a request carries, valid or not. */
export function sentKeyOf(request: Request, isPage?: true): string | undefined {
  return keyOf(request) ?? (isPage === true ? passwordOf(request) : undefined);
}

function keyOf(request: Request): string | undefined {
  const single = request.headers["x-api-key"];
  return typeof single === "string" && single !== "" ? single : credentialsOf(request, "bearer");
}

function passwordOf(request: Request): string | undefined {
  const credentials = credentialsOf(request, "basic");
  if (credentials === undefined) return undefined;
  const decoded = Buffer.from(credentials, "base64").toString("utf8");
  return decoded.slice(decoded.indexOf(":") + 1);
}

function credentialsOf(request: Request, scheme: string): string | undefined {
  const [given = "", value = ""] = (request.headers.authorization ?? "").split(/ +/, 2);
  return given.toLowerCase() === scheme && value !== "" ? value : undefined;
}

function hostNameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined;
}
