import { createHash } from "node:crypto";
import { type Tenant, type TenantStore } from "@genga/jobs";
import { isLoopback } from "@genga/runtime";
import { type Request, type RequestHandler, type Response } from "express";
import { RefusedError } from "./problem-document.ts";

/** How long a key that was found stays good without asking the database again: revoking takes at most this long. */
const rememberMs = 10_000;
const rememberedMax = 1_000;

export interface AccessOptions {
  tenants: TenantStore;
  /** Keys are needed; else everybody on this machine is the default tenant. */
  needsKey: boolean;
  /** May see all tenants' tickets and figures. */
  isOperator: (tenant: Tenant) => boolean;
}

/** Who may do what: keys where there are keys, and names of this machine where there are none. */
export class Access {
  readonly #options: AccessOptions;
  readonly #remembered = new Map<string, { tenant: Tenant; until: number }>();
  #defaultTenant: Tenant | undefined;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** Finds the tenant of the request, or refuses it. */
  readonly requireTenant: RequestHandler = async (request, response, next) => {
    response.locals["tenant"] = await this.#tenantOf(keyOf(request), "Bearer");
    next();
  };

  /**
   * The same for pages that are only looked at: there a browser may send the key as the password of Basic
   * authentication. Nowhere else, since browsers add that to what other pages send as well.
   */
  readonly requireTenantOfPage: RequestHandler = async (request, response, next) => {
    response.locals["tenant"] = await this.#tenantOf(keyOf(request) ?? passwordOf(request), "Basic");
    next();
  };

  /** After `requireTenant`: for what shows more than one tenant's things. */
  readonly requireOperator: RequestHandler = (_request, response, next) => {
    if (!this.#options.isOperator(tenantOf(response))) {
      throw new RefusedError("operator-only", "Keys of the tenant `default` may see this.");
    }
    next();
  };

  /**
   * Without keys nobody but this machine's own programs may speak to us: a web page that has its own name resolve to
   * loopback (DNS rebinding) is told by the Host header, and one that just posts here by its Origin.
   */
  readonly refuseForeignPages: RequestHandler = (request, _response, next) => {
    if (this.#options.needsKey) {
      next();
      return;
    }
    const host = hostNameOf(`http://${request.headers.host ?? ""}`);
    if (host === undefined || !isLoopback(host)) {
      throw new RefusedError(
        "host-not-allowed",
        "Without API keys only names of this machine, such as localhost, are served.",
      );
    }
    const { origin } = request.headers;
    const isWrite = request.method !== "GET" && request.method !== "HEAD" && request.method !== "OPTIONS";
    if (
      isWrite &&
      origin !== undefined &&
      new URL(`http://${request.headers.host ?? ""}`).host !== hostOf(origin)
    ) {
      throw new RefusedError("origin-not-allowed", "Pages of other origins may not change anything here.");
    }
    next();
  };

  async #tenantOf(key: string | undefined, scheme: "Bearer" | "Basic"): Promise<Tenant> {
    if (!this.#options.needsKey) return (this.#defaultTenant ??= await this.#options.tenants.defaultTenant());
    if (key === undefined) {
      throw new RefusedError(
        "key-missing",
        "Send an API key as `Authorization: Bearer …` or as `X-API-Key`.",
        {
          headers: { "www-authenticate": `${scheme} realm="genga"` },
        },
      );
    }
    // Looked up by its hash: how long that takes says nothing about the key.
    const hash = createHash("sha256").update(key).digest("hex");
    const known = this.#remembered.get(hash);
    if (known !== undefined && known.until > performance.now()) return known.tenant;
    const tenant = await this.#options.tenants.findTenantByKey(key);
    if (tenant === null) {
      this.#remembered.delete(hash);
      throw new RefusedError("key-unknown", "The API key is not known, or was revoked.", {
        headers: { "www-authenticate": `${scheme} realm="genga"` },
      });
    }
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
    this.#remembered.set(hash, { tenant, until: performance.now() + rememberMs });
    return tenant;
  }
}

/** The tenant that `requireTenant` found. */
export function tenantOf(response: Response): Tenant {
  return response.locals["tenant"] as Tenant;
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
