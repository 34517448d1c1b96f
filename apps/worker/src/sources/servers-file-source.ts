import { type Logger, readServersFile, type ServersFile, ServersFileError } from "@genga/runtime";
import { isDeepStrictEqual } from "node:util";
import { Coalescer } from "../timing/coalescer.ts";
import { FileWatch } from "./file-watch.ts";

export interface ServersFileSourceOptions {
  path: string;
  serverName: string | undefined;
  /** Slots of servers for which the file gives none. */
  slots: number;
  env: Readonly<Record<string, string | undefined>>;
  log: Logger;
}

/**
 * The servers file, read again whenever it changes, one of its secret files changes, or SIGHUP comes. A file that cannot
 * be used changes nothing: the last good one counts.
 */
export class ServersFileSource {
  readonly #options: ServersFileSourceOptions;
  readonly #watch: FileWatch;
  readonly #reads = new Coalescer(() => this.#read());
  readonly #onHangUp = (): void => {
    this.#watch.noteChange();
  };
  #current: ServersFile | null = null;
  #problem: string | null = null;
  #paths: readonly string[];
  #onChange: () => void = () => undefined;

  constructor(options: ServersFileSourceOptions) {
    this.#options = options;
    this.#paths = [options.path];
    this.#watch = new FileWatch({ onChange: () => void this.#reads.trigger(), log: options.log });
  }

  /** Reads and watches the file. @throws ServersFileError */
  async open(): Promise<void> {
    process.on("SIGHUP", this.#onHangUp);
    await this.#reads.trigger();
    if (this.#current !== null) return;
    this.close();
    throw new ServersFileError(this.#problem ?? "not read");
  }

  /** The last good content. */
  get current(): ServersFile {
    return this.#current ?? { servers: [], authorizations: new Map(), origins: new Map() };
  }

  /** Why the present file is not used; `null` = it is. */
  get problem(): string | null {
    return this.#problem;
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  close(): void {
    process.off("SIGHUP", this.#onHangUp);
    this.#watch.close();
  }

  async #read(): Promise<void> {
    const options = this.#options;
    // A secret file that a new version of the servers file names is watched only after this reading.
    const paths = new Set([options.path]);
    await this.#watch.watch(this.#paths);
    try {
      const file = await readServersFile({ ...options, onSecretFile: (path) => paths.add(path) });
      await this.#watchAll(paths);
      this.#use(file);
    } catch (error) {
      await this.#watchAll(new Set([...paths, ...this.#paths]));
      this.#noteProblem(error instanceof ServersFileError ? error.message : `unexpectedly: ${String(error)}`);
    }
  }

  async #watchAll(paths: ReadonlySet<string>): Promise<void> {
    if ([...paths].every((path) => this.#paths.includes(path))) return;
    this.#paths = [...paths];
    await this.#watch.watch(this.#paths);
    this.#watch.noteChange();
  }

  #use(file: ServersFile): void {
    const { log, path } = this.#options;
    const wasBroken = this.#problem !== null;
    this.#problem = null;
    const isSame = isDeepStrictEqual(file, this.#current);
    if (!isSame || wasBroken) log.info({ file: path, servers: file.servers.length }, "servers file read");
    this.#current = file;
    if (!isSame || wasBroken) this.#onChange();
  }

  #noteProblem(message: string): void {
    if (message === this.#problem) return;
    this.#problem = message;
    const what = "the servers file cannot be used: the last good one counts until it is mended";
    if (this.#current !== null) this.#options.log.error({ problem: message }, what);
    this.#onChange();
  }
}
