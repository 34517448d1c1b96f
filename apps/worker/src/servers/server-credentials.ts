import { type NamedServer } from "@genga/runtime";
import { type FleetSources } from "./named-servers.ts";

export interface ServerCredentialsOptions {
  sources: Pick<FleetSources, "authorizationFor">;
  /** The server as it was named when it was taken. */
  named: NamedServer;
  /** The server as the sources name it now. */
  namedNow: () => NamedServer | undefined;
}

/**
 * How requests to an owned server are let in. What runs on a server still has to be watched and collected after the server
 * and its credentials were taken out of the sources; until it has ended, the credentials that were known last are used.
 */
export class ServerCredentials {
  readonly #options: ServerCredentialsOptions;
  #named: NamedServer;
  #known: { authorization: string | undefined } | null = null;

  constructor(options: ServerCredentialsOptions) {
    this.#options = options;
    this.#named = options.named;
    try {
      this.authorization();
    } catch {
      // Not known yet; the first request says so.
    }
  }

  /** The header `Authorization` of the next request. @throws ComfyUIError if no credentials were ever known */
  authorization(): string | undefined {
    const { sources, namedNow } = this.#options;
    const now = namedNow();
    this.#named = now ?? this.#named;
    try {
      const authorization = sources.authorizationFor(this.#named);
      this.#known = { authorization };
      return authorization;
    } catch (error) {
      if (now !== undefined || this.#known === null) throw error;
      return this.#known.authorization;
    }
  }
}
