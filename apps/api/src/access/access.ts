import { roleIncludes, StoreUnavailableError, type Principal, type Role, type Tenant } from "@genga/jobs";
import { isLoopback, parseUrl } from "@genga/runtime";
import { type Request, type RequestHandler, type Response } from "express";
import { type ConfiguredKeys } from "./configured-keys.ts";
import { ownPageOf } from "../http/base-url.ts";
import { challengeOf, sentKeyOf, wantsPage, type Credential } from "./credentials.ts";
import { isOfAllowedOrigin } from "../http/cross-origin.ts";
import { type MadeKeys } from "./made-keys.ts";
import { type Metrics } from "../http/metrics.ts";
import { isFromElsewhere, isRead, requireOwnPage } from "./own-pages.ts";
import { RefusedError, statusOf } from "../http/problem-document.ts";
import { keepsSessionCookie, sessionTokensOf } from "./session-cookie.ts";
import { type KnownSession, type Sessions } from "./sessions.ts";
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
  sessions: Sessions;
  /** True when the API listens on loopback only; it then serves requests without keys as long as no key exists. */
  isOnLoopback: boolean;
  wrongKeys: WrongKeys;
  counter: Metrics["wrongKeys"];
  /** Whether there is a page for signing in now. */
  hasSignInPage: () => boolean;
}

/** Who sent a request, and by what it was let in. */
export interface Asker {
  readonly principal: Principal;
  readonly credential: Credential;
  /** The session, if it was let in by one. */
  readonly session: KnownSession["session"] | null;
}

/**
 * Decides who sent a request and whether that sender may use the route. As soon as any key exists, every request needs
 * one, or the cookie of a session that was opened with one. Before that, only requests to a name of this machine are served.
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
      const asker = await this.#askerOf(request, response, isPage).catch((error: unknown) => {
        if (isPage !== true || !wantsPage(request) || !isForWantOfKey(error)) throw error;
        if (!keepsSessionCookie(response) || !this.#options.hasSignInPage()) throw error;
        return null;
      });
      if (asker === null) {
        sendToSignIn(request, response);
        return;
      }
      const { principal, credential } = asker;
      Object.assign(response.locals, { principal, credential });
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
   * For open routes: who sent the request; `undefined` = it brings nothing that would let it in elsewhere.
   * @throws RefusedError `too-many-wrong-keys`; StoreUnavailableError
   */
  async whoAsks(request: Request, response: Response): Promise<Asker | undefined> {
    try {
      return await this.#askerOf(request, response);
    } catch (error) {
      if (error instanceof RefusedError && [401, 403].includes(statusOf(error.code))) return undefined;
      throw error;
    }
  }

  /** Whose key this is. @throws RefusedError `key-unknown`, `too-many-wrong-keys`; StoreUnavailableError */
  async checkKey(key: string, request: Request): Promise<Principal> {
    return await this.#principalOf(key, request.ip ?? "", challengeOf(request));
  }

  /**
   * Whom a request with this key stands for, or without any where no key exists. The routes of the table use `require`.
   * @throws RefusedError `key-missing`, `key-unknown`, `too-many-wrong-keys`; StoreUnavailableError
   */
  async admitKey(key: string | undefined, address: string): Promise<Omit<Asker, "session">> {
    if (await this.isKeyless()) return this.#keylessAsker();
    const headers = bearerChallenge;
    if (key === undefined) throw new RefusedError("key-missing", "Send an API key.", { headers });
    return { principal: await this.#principalOf(key, address, headers), credential: { kind: "key", key } };
  }

  /**
   * For a request that this key let in, and that has waited. It is not counted as a wrong key: many requests may have waited
   * when the key was revoked.
   * @throws RefusedError `key-unknown`; StoreUnavailableError
   */
  async checkKeyAgain(key: string): Promise<void> {
    if ((await this.#find(key)) === undefined) throw unknownKey(bearerChallenge);
  }

  /** Whether requests need no key now, after a look in the database if one is due. */
  async isKeyless(): Promise<boolean> {
    return !this.needsKey && !(await this.#options.madeKeys.areThere());
  }

  /**
   * Without keys this API serves everybody on this machine, and nobody else. A page elsewhere could let its own host name
   * resolve to loopback (DNS rebinding); such a request names a foreign host, and is refused.
   */
  readonly refuseForeignHosts: RequestHandler = (request, _response, next) => {
    if (this.isForeignHost(request.headers.host)) {
      throw new RefusedError(
        "host-not-allowed",
        "Without API keys only names of this machine, such as localhost, are served.",
      );
    }
    next();
  };

  /** Whether a request that names this host is refused, because only this machine is served. */
  isForeignHost(host: string | undefined): boolean {
    const name = parseUrl(`http://${host ?? ""}`)?.hostname;
    return !this.needsKey && (name === undefined || !isLoopback(name));
  }

  /**
   * A page elsewhere could post to an API without keys; such a request names a foreign origin, and is refused, unless the
   * operator has allowed the origin.
   */
  readonly refuseForeignPages: RequestHandler = (request, response, next) => {
    const { host, origin } = request.headers;
    if (
      !this.needsKey &&
      !isRead(request) &&
      origin !== undefined &&
      !isOfAllowedOrigin(response) &&
      new URL(`http://${host ?? ""}`).host !== parseUrl(origin)?.host
    ) {
      throw new RefusedError("origin-not-allowed", "Pages of other origins may not change anything here.");
    }
    next();
  };

  /** For open routes: whether the request came with a key of the role `operate`. Never refuses a request. */
  async mayOperate(request: Request, response: Response): Promise<boolean> {
    try {
      return (await this.whoAsks(request, response))?.principal.role === "operate";
    } catch (error) {
      if (error instanceof RefusedError || error instanceof StoreUnavailableError) return false;
      throw error;
    }
  }

  /** Which of these credentials, by which requests were let in here, still work. @throws StoreUnavailableError */
  async findWorking(credentials: readonly Credential[]): Promise<ReadonlySet<Credential>> {
    if (await this.isKeyless()) return new Set(credentials);
    const { configuredKeys, madeKeys, sessions } = this.#options;
    const keys = new Set(credentials.flatMap((each) => (each.kind === "key" ? [each.key] : [])));
    const tokens = new Set(credentials.flatMap((each) => (each.kind === "session" ? [each.token] : [])));
    const configured = [...keys].filter((key) => configuredKeys.find(key) !== undefined);
    const [made, sessionsThatWork] = await Promise.all([
      madeKeys.findWorking([...keys].filter((key) => configuredKeys.find(key) === undefined)),
      sessions.findWorking([...tokens]),
    ]);
    const keysThatWork = new Set([...configured, ...made]);
    return new Set(
      credentials.filter(
        (each) =>
          (each.kind === "key" && keysThatWork.has(each.key)) ||
          (each.kind === "session" && sessionsThatWork.has(each.token)),
      ),
    );
  }

  /** Whether requests need a key, as far as this process knows. If not, everybody on this machine may do everything. */
  get needsKey(): boolean {
    const { configuredKeys, isOnLoopback, madeKeys } = this.#options;
    return configuredKeys.size > 0 || !isOnLoopback || madeKeys.wereThere;
  }

  /** A key that is sent counts, and not the cookie beside it. */
  async #askerOf(request: Request, response: Response, isPage?: true): Promise<Asker> {
    if (await this.isKeyless()) return { ...this.#keylessAsker(), session: null };
    const key = sentKeyOf(request, isPage);
    const headers = challengeOf(request, isPage);
    if (key === undefined) return await this.#askerOfSession(request, response, headers);
    const principal = await this.#principalOf(key, request.ip ?? "", headers);
    return { principal, credential: { kind: "key", key }, session: null };
  }

  #keylessAsker(): Omit<Asker, "session"> {
    const tenant = this.#options.defaultTenant;
    const principal: Principal = { tenant, role: "operate", keyName: "(no key, on loopback)" };
    return { principal, credential: { kind: "none" } };
  }

  /** @throws RefusedError `key-missing`, `session-ended`, `origin-not-allowed` */
  async #askerOfSession(
    request: Request,
    response: Response,
    headers: Record<string, string>,
  ): Promise<Asker> {
    const tokens = sessionTokensOf(request);
    if (tokens.length > 0 && !isRead(request)) requireOwnPage(request, response);
    if (tokens.length === 0 || isFromElsewhere(request, response)) {
      const message =
        "Send an API key as `Authorization: Bearer …` or as `X-API-Key`, or sign in on the page.";
      throw new RefusedError("key-missing", message, { headers });
    }
    const found = await this.#options.sessions.find(tokens, request.ip ?? "");
    if (found === undefined) {
      throw new RefusedError("session-ended", "The session has ended, or its key has; sign in again.", {
        headers,
      });
    }
    const { principal, session, token } = found;
    return { principal, credential: { kind: "session", token }, session };
  }

  async #principalOf(key: string, address: string, headers: Record<string, string>): Promise<Principal> {
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
    const principal = await this.#find(key);
    if (principal === undefined) {
      wrongKeys.noteWrong(address);
      wrongKeys.forget(address, key);
      counter.inc({ outcome: "refused" });
      throw unknownKey(headers);
    }
    wrongKeys.noteRight(address, key);
    return principal;
  }

  async #find(key: string): Promise<Principal | undefined> {
    const { configuredKeys, madeKeys } = this.#options;
    return configuredKeys.find(key) ?? (await madeKeys.find(key));
  }
}

const bearerChallenge = { "www-authenticate": 'Bearer realm="genga"' };

function unknownKey(headers: Record<string, string>): RefusedError {
  return new RefusedError("key-unknown", "The API key is not known, or was revoked.", { headers });
}

/** The sender of the request that this response answers. */
export function principalOf(response: Response): Principal {
  const principal = response.locals["principal"] as Principal | undefined;
  if (principal === undefined) throw new Error("An open route has no principal.");
  return principal;
}

/** Nobody sent a key, so a person can still sign in; a wrong key is the sender's to mend. */
function isForWantOfKey(error: unknown): boolean {
  return error instanceof RefusedError && ["key-missing", "session-ended"].includes(error.code);
}

/** The page for signing in leads back to the address that was asked for, which is a path of this API, with its query. */
function sendToSignIn(request: Request, response: Response): void {
  const base = (ownPageOf(response)?.pathname ?? "").replace(/\/+$/, "");
  const queryAt = request.originalUrl.indexOf("?");
  const query = queryAt === -1 ? "" : request.originalUrl.slice(queryAt);
  const next = `${request.baseUrl}${request.path === "/" ? "" : request.path}${query}`;
  response.set("cache-control", "no-store");
  response.redirect(303, `${base}/sign-in?next=${encodeURIComponent(next).replaceAll("%2F", "/")}`);
}
