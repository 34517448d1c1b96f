import { basicAuthorization, ComfyUIError } from "@genga/comfyui";
import {
  ConfigurationError,
  type Logger,
  type NamedServer,
  ServersFileError,
  type ServiceConfiguration,
} from "@genga/runtime";
import { SecretBoxError } from "@genga/jobs";
import { type ServerStore } from "@genga/jobs";
import { isDeepStrictEqual } from "node:util";
import { type AddedServersSource } from "./added-servers-source.ts";
import { ResolvedNames } from "./resolved-names.ts";
import { ServersFileSource } from "./servers-file-source.ts";

export interface ServerSourcesOptions {
  /** The servers of COMFYUI_URLS. */
  setting: readonly NamedServer[];
  file: ServersFileSource | undefined;
  names: ResolvedNames;
  log: Logger;
}

/**
 * The servers that all sources of this worker name now. A server that several name is named once: as the file says, or
 * else COMFYUI_URLS, or else the API.
 */
export class ServerSources {
  readonly #options: ServerSourcesOptions;
  readonly #warnedOf = new Set<string>();
  #added: AddedServersSource | null = null;
  #rows: Pick<ServerStore, "listServers"> | null = null;
  #servers: readonly NamedServer[] = [];
  #onChange: () => void = () => undefined;

  constructor(options: ServerSourcesOptions) {
    this.#options = options;
    this.#merge();
    const merge = (): void => {
      this.#merge();
    };
    options.file?.onChange(merge);
    options.names.onChange(merge);
  }

  /** A new list whenever it has changed. */
  get servers(): readonly NamedServer[] {
    return this.#servers;
  }

  /** Why the sources as they are now are not used; `null` = they are. */
  get problem(): string | null {
    return this.fileProblem ?? this.#options.names.problem;
  }

  get fileProblem(): string | null {
    return this.#options.file?.problem ?? null;
  }

  /** How many names could not be resolved last. */
  get unresolvedNames(): number {
    return this.#options.names.unresolved;
  }

  get takesServersOfApi(): boolean {
    return this.#added !== null;
  }

  /** Called when the servers, their credentials or the problem have changed. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /**
   * The header `Authorization` for requests to this server, by what the sources say now.
   * @throws ComfyUIError if the server's credentials are not known, or may not be sent to it
   */
  authorizationFor(named: NamedServer): string | undefined {
    const { credential, address, source } = named;
    if (credential === null) {
      if (source === "api") return this.#givenAuthorization(address.identity);
      const credentials = source === "setting" ? this.#settingCredentials(named) : address.credentials;
      return credentials === undefined ? undefined : basicAuthorization(credentials);
    }
    const file = this.#options.file?.current;
    const known = file?.authorizations.get(credential);
    if (known === undefined)
      throw new ComfyUIError("access_denied", `The worker has no credentials with the name ${credential}.`);
    // Else whoever may add servers could have the file's secrets sent to a server of their own.
    const { origin } = new URL(address.url);
    if (source !== "api" || file?.origins.get(credential)?.has(origin) === true) return known;
    const message =
      `The worker's servers file does not let the credentials ${credential} be sent to ${origin}: ` +
      "it must list this under `origins` of the credentials.";
    throw new ComfyUIError("access_denied", message);
  }

  /**
   * Opens the sources that the settings name.
   * @param env for secrets
   * @throws ConfigurationError if the servers file cannot be used
   */
  static async open(
    settings: ServiceConfiguration,
    env: NodeJS.ProcessEnv,
    log: Logger,
  ): Promise<ServerSources> {
    const { serversFile: path, serverName, serverSlots: slots } = settings;
    const { serversDnsIntervalMs: intervalMs, serversDns: dnsServers } = settings;
    const file =
      path === undefined ? undefined : new ServersFileSource({ path, serverName, slots, env, log });
    try {
      await file?.open();
    } catch (error) {
      if (!(error instanceof ServersFileError)) throw error;
      throw new ConfigurationError(`COMFYUI_SERVERS_FILE: ${error.message}`);
    }
    const names = new ResolvedNames({ intervalMs, dnsServers, serverName, log });
    return new ServerSources({ setting: serversOfSetting(settings), file, names, log });
  }

  /** From now on the servers that operators add by the API count, too. */
  addSource(added: AddedServersSource): void {
    this.#added = added;
    added.onChange(() => {
      this.#merge();
    });
  }

  /** Names that cannot be resolved at the start of this worker have the addresses that these rows give them. */
  recallNamesFrom(rows: Pick<ServerStore, "listServers">): void {
    this.#rows = rows;
  }

  /** Reads again what tells of no change by itself. @throws StoreUnavailableError */
  async refresh(): Promise<void> {
    const rows = this.#rows;
    if (rows !== null) await this.#options.names.firstLookups(() => rows.listServers());
    this.#rows = null;
    await this.#added?.refresh();
  }

  #givenAuthorization(identity: string): string | undefined {
    if (this.#added === null)
      throw new ComfyUIError("access_denied", "The worker takes no servers of the API.");
    try {
      return this.#added.authorizationOf(identity);
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      const message = `The credentials that were added with the server cannot be read: ${error.message}`;
      throw new ComfyUIError("access_denied", message, { cause: error });
    }
  }

  /**
   * A server at an address of a name of COMFYUI_URLS may still have prompts of another worker, or of an earlier life. A
   * worker reaches it with the user and password that it knows for the name.
   */
  #settingCredentials({ address, resolvedFrom }: NamedServer): NamedServer["address"]["credentials"] {
    if (resolvedFrom === null) return address.credentials;
    const name = this.#options.setting.find(
      ({ address: { resolves, url } }) => resolves && url === address.url,
    );
    if (name === undefined)
      throw new ComfyUIError(
        "access_denied",
        `COMFYUI_URLS does not have the name ${resolvedFrom} any more.`,
      );
    return name.address.credentials;
  }

  close(): void {
    this.#options.names.close();
    this.#options.file?.close();
  }

  #merge(): void {
    const { setting, file, names } = this.#options;
    const merged = new Map<string, NamedServer>();
    const resolved = names.expand([...(file?.current.servers ?? []), ...setting]);
    for (const server of [...resolved, ...(this.#added?.servers ?? [])]) {
      const { identity } = server.address;
      const first = merged.get(identity);
      if (first === undefined) merged.set(identity, server);
      else this.#warnOfDifference(first, server);
    }
    const servers = [...merged.values()];
    if (!isDeepStrictEqual(servers, this.#servers)) this.#servers = servers;
    this.#onChange();
  }

  #warnOfDifference(used: NamedServer, other: NamedServer): void {
    const isSame = (["slots", "labels", "credential"] as const).every((key) =>
      isDeepStrictEqual(used[key], other[key]),
    );
    const { identity } = used.address;
    if (isSame || this.#warnedOf.has(identity)) return;
    this.#warnedOf.add(identity);
    this.#options.log.warn(
      { server: identity, used: used.source, ignored: other.source },
      "two sources name a server differently: slots, labels and credentials of one of them count",
    );
  }
}

function serversOfSetting({
  comfyuiServers,
  serverSlots,
  serverLabels,
}: ServiceConfiguration): NamedServer[] {
  return comfyuiServers.map((address) => ({
    ...{ address, slots: serverSlots, labels: serverLabels.get(address.url) ?? [] },
    ...{ source: "setting", credential: null, resolvedFrom: null },
  }));
}
