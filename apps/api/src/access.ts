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
    response.locals["tenant"] = await this.#tenantOfRequest(request);
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

  async #tenantOfRequest(request: Request): Promise<Tenant> {
    if (!this.#options.needsKey) return (this.#defaultTenant ??= await this.#options.tenants.defaultTenant());
    const key = keyOf(request);
    if (key === undefined) {
      throw new RefusedError(
        "key-missing",
        "Send an API key as `Authorization: Bearer …` or as `X-API-Key`.",
        {
          headers: { "www-authenticate": 'Bearer realm="genga", Basic realm="genga", charset="UTF-8"' },
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
        headers: { "www-authenticate": 'Bearer realm="genga", error="invalid_token"' },
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

/** A browser that shows the board can only send a key as the password of Basic authentication. */
function keyOf(request: Request): string | undefined {
  const single = request.headers["x-api-key"];
  if (typeof single === "string" && single !== "") return single;
  const [scheme = "", value = ""] = (request.headers.authorization ?? "").split(/ +/, 2);
  if (value === "") return undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return undefined;
  const decoded = Buffer.from(value, "base64").toString("utf8");
  return decoded.slice(decoded.indexOf(":") + 1);
}

function hostNameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined;
}
