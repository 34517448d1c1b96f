import { type IncomingMessage } from "node:http";
import { roleIncludes, type Principal } from "@genga/jobs";
import { parseUrl } from "@genga/runtime";
import { type Access } from "../access/access.ts";
import { type Credential } from "../access/credentials.ts";
import { RefusedError } from "../http/problem-document.ts";
import { takeKey } from "./request-key.ts";

export interface DoorAccessParts {
  access: Pick<Access, "admitKey" | "checkKeyAgain" | "isForeignHost">;
  /** Pages of these origins may use the door. */
  corsOrigins: readonly string[];
}

/** Who sent a request to the door, and by which key it was let in. */
export interface Admitted {
  principal: Principal;
  credential: Credential;
}

/**
 * Decides whether a request may come in, for HTTP and for the WebSocket upgrade alike. No cookie counts here. A web page of
 * another origin gets nothing, also where no key is needed.
 */
export class DoorAccess {
  readonly #parts: DoorAccessParts;

  constructor(parts: DoorAccessParts) {
    this.#parts = parts;
  }

  /** @param address of the client @throws RefusedError @throws StoreUnavailableError */
  async admit(request: IncomingMessage, address: string): Promise<Admitted> {
    const { key, isInUrl } = takeKey(request);
    if (this.#parts.access.isForeignHost(request.headers.host)) {
      const message = "Without API keys only names of this machine, such as localhost, are served.";
      throw new RefusedError("host-not-allowed", message);
    }
    if (this.#isFromElsewhere(request)) {
      const message = "Pages of other origins may not use this; CORS_ORIGINS names those that may.";
      throw new RefusedError("origin-not-allowed", message);
    }
    const admitted = await this.#parts.access.admitKey(key, address);
    const { role, keyName } = admitted.principal;
    if (!roleIncludes(role, "submit")) {
      const message = `This needs a key with the role submit; the key "${keyName}" has the role ${role}.`;
      throw new RefusedError("role-too-low", message);
    }
    // URLs are kept in histories and logs of others; a key that may change the farm does not belong there.
    if (isInUrl && admitted.credential.kind === "key" && role !== "submit") {
      const message = `A key in a URL must have the role submit; the key "${keyName}" has the role ${role}.`;
      throw new RefusedError("role-too-low", message);
    }
    return admitted;
  }

  /** For a request that was admitted, and has waited. @throws RefusedError @throws StoreUnavailableError */
  async admitAgain(request: IncomingMessage, address: string, { credential }: Admitted): Promise<void> {
    if (credential.kind === "key") await this.#parts.access.checkKeyAgain(credential.key);
    else await this.admit(request, address);
  }

  #isFromElsewhere({ headers, method }: IncomingMessage): boolean {
    const { origin, host } = headers;
    if (origin !== undefined) {
      if (this.#parts.corsOrigins.includes(origin)) return false;
      return parseUrl(origin)?.host !== parseUrl(`http://${host ?? ""}`)?.host;
    }
    const site = headers["sec-fetch-site"];
    if (site !== "cross-site" && site !== "same-site") return false;
    // A person who follows a link comes from elsewhere, too.
    const isLink = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
    return !(isLink && (method === "GET" || method === "HEAD"));
  }
}
