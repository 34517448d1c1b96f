import { type FSWatcher, watch } from "node:fs";
import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type Logger } from "@genga/runtime";

export interface FileWatchOptions {
  /** Called after changes, at most once per `quietMs`. */
  onChange: () => void;
  log: Logger;
}

/** A file that is being written usually has its last byte after this time. */
const quietMs = 100;
/** A folder that cannot be watched, such as one that does not exist now, is tried again after this time. */
const retryMs = 5_000;

/**
 * Watches files by the folders in which they are. Editors, and Kubernetes for its ConfigMaps and Secrets, do not change a
 * file but put another one in its place; a watch of the file itself would stay with the old one.
 */
export class FileWatch {
  readonly #options: FileWatchOptions;
  #watchers: FSWatcher[] = [];
  #quiet: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  /** Watches these files and no others. To be called before they are read, so that no change is missed. */
  async watch(paths: readonly string[]): Promise<void> {
    const namesByFolder = new Map<string, Set<string>>();
    for (const path of paths) {
      for (const place of new Set([path, await realpath(path).catch(() => path)])) {
        const names = namesByFolder.get(dirname(place)) ?? new Set();
        namesByFolder.set(dirname(place), names.add(basename(place)));
      }
    }
    if (this.#isClosed) return;
    const before = this.#watchers;
    this.#watchers = [...namesByFolder].flatMap(([folder, names]) => this.#open(folder, names) ?? []);
    for (const watcher of before) watcher.close();
  }

  /** Acts as after a change. */
  noteChange(): void {
    if (this.#isClosed) return;
    // Not postponed by further changes, so that a file which changes all the time is read, too.
    this.#quiet ??= setTimeout(() => {
      this.#quiet = null;
      this.#options.onChange();
    }, quietMs);
  }

  close(): void {
    this.#isClosed = true;
    for (const watcher of this.#watchers) watcher.close();
    clearTimeout(this.#quiet ?? undefined);
    clearTimeout(this.#retry ?? undefined);
  }

  #open(folder: string, names: ReadonlySet<string>): FSWatcher | undefined {
    // Kubernetes replaces the link `..data`, through which the files of a volume are reached. The folder's own name comes
    // when the folder is removed.
    const concerns = (name: string | null): boolean =>
      name === null || names.has(name) || name === "..data" || name === basename(folder);
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (concerns(name)) this.noteChange();
      });
      watcher.on("error", (error) => {
        this.#tryAgain(folder, error);
      });
      return watcher;
    } catch (error) {
      this.#tryAgain(folder, error);
      return undefined;
    }
  }

  #tryAgain(folder: string, error: unknown): void {
    if (this.#isClosed || this.#retry !== null) return;
    this.#options.log.debug({ err: error, folder }, "a folder cannot be watched now");
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.noteChange();
    }, retryMs);
  }
}
