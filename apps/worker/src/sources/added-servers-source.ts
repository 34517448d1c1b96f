import { ComfyUIError } from "@genga/comfyui";
import {
  type AddedServer,
  type SecretBox,
  SecretBoxError,
  serverAuthorizationIdentity,
  type ServerSourcesStore,
} from "@genga/jobs";
import { identityOfUrl, isLoopback, type NamedServer } from "@genga/runtime";
import { isDeepStrictEqual } from "node:util";

export interface AddedServersSourceOptions {
  store: Pick<ServerSourcesStore, "listAdded" | "revisionOfAdded">;
  /** `undefined` = SECRETS_KEY is not set here. */
  secretBox: Pick<SecretBox, "open"> | undefined;
  serverName: string | undefined;
}

/** The servers that operators added by the API. */
export class AddedServersSource {
  readonly #options: AddedServersSourceOptions;
  #added: readonly AddedServer[] = [];
  #revision: string | null = null;
  #begun = 0;
  #applied = 0;
  #onChange: () => void = () => undefined;

  constructor(options: AddedServersSourceOptions) {
    this.#options = options;
  }

  get servers(): NamedServer[] {
    // Where machines have names, a loopback address that was added does not say on which one the server is.
    const isReached = ({ url }: AddedServer): boolean =>
      this.#options.serverName === undefined || !isLoopback(new URL(url).hostname);
    return this.#added.filter((server) => !server.isRemoved && isReached(server)).map(namedServer);
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** Reads them anew if they have changed. @throws StoreUnavailableError */
  async refresh(): Promise<void> {
    const turn = ++this.#begun;
    const { store } = this.#options;
    // It is read before the list: a change in between is then read twice, and not missed.
    const revision = await store.revisionOfAdded();
    if (revision === this.#revision) return;
    const added = await store.listAdded();
    // A slow answer must not replace a newer one.
    if (turn < this.#applied) return;
    this.#applied = turn;
    this.#revision = revision;
    if (isDeepStrictEqual(added, this.#added)) return;
    this.#added = added;
    this.#onChange();
  }

  /**
   * The header `Authorization` that was given with the server; `undefined` = none was.
   * @throws SecretBoxError if it cannot be decrypted here
   * @throws ComfyUIError if it is not known whether one was
   */
  authorizationOf(identity: string): string | undefined {
    const server = this.#added.find(({ url }) => url === identity);
    if (server === undefined)
      throw new ComfyUIError("access_denied", "The worker knows of no such server of the API.");
    if (server.sealedAuthorization === null) return undefined;
    const { secretBox } = this.#options;
    if (secretBox === undefined) throw new SecretBoxError("SECRETS_KEY is not set here.");
    return secretBox.open(server.sealedAuthorization, serverAuthorizationIdentity(server.id));
  }
}

function namedServer({ url, slots, labels, credential }: AddedServer): NamedServer {
  return {
    address: { identity: url, url: identityOfUrl(url), credentials: undefined },
    ...{ slots, labels, source: "api", credential, resolvedFrom: null },
  };
}
