import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { EmbeddedServiceError } from "./embedded-service-error.ts";
import { commandOf, isAlive, startOf } from "./process-identity.ts";
import { systemErrorCode } from "./system-error-code.ts";

/** A held data folder. */
export interface FolderLock {
  /** Releases the folder; a second call does nothing. */
  release(): void;
}

const holderSchema = z.object({
  pid: z.number(),
  started: z.string().optional(),
  since: z.string(),
  token: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

/**
 * Locks a data folder for this process, so that two starts never use it at once. A lock whose process has ended is
 * taken over, even if another process has been given its pid since.
 *
 * @throws EmbeddedServiceError DATA_FOLDER_HELD that names the holder
 */
export function lockFolder(folder: string): FolderLock {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "genga.lock");
  const token = randomUUID();
  const self: Holder = {
    pid: process.pid,
    started: startOf(process.pid),
    since: new Date().toISOString(),
    token,
  };
  for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
    if (create(path, self)) {
      return {
        release: () => {
          if (read(path)?.token === token) rmSync(path, { force: true });
        },
      };
    }
    const holder = read(path);
    if (holder && isHeld(holder)) throw heldBy(folder, holder);
    removeStale(path);
  }
  throw new EmbeddedServiceError(
    "DATA_FOLDER_HELD",
    `${folder} is being taken by several processes at once.`,
  );
}

const attemptsMax = 20;

/** Creates the lock with its content in one step (a hard link), so that no process ever reads a half-written lock. */
function create(path: string, holder: Holder): boolean {
  const draft = `${path}.${holder.token}`;
  writeFileSync(draft, JSON.stringify(holder), { mode: 0o644 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Removes the lock of a process that has ended. Only one process at a time may do this, and it reads the lock once more
 * first; otherwise a slow process could remove a lock that a fast one has just taken.
 */
function removeStale(path: string): void {
  const permission = `${path}.removal`;
  try {
    mkdirSync(permission);
  } catch {
    // Another process is removing the lock, which takes microseconds. A permission that is older than this belonged to
    // a process that was killed.
    if (ageMs(permission) > 5_000) rmSync(permission, { recursive: true, force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    return;
  }
  try {
    const holder = read(path);
    if (!holder || !isHeld(holder)) rmSync(path, { force: true });
  } finally {
    rmdirSync(permission);
  }
}

function isHeld(holder: Holder): boolean {
  if (!isAlive(holder.pid)) return false;
  const started = startOf(holder.pid);
  return started === undefined || holder.started === undefined || started === holder.started;
}

function heldBy(folder: string, holder: Holder): EmbeddedServiceError {
  const command = commandOf(holder.pid);
  const who = `process ${holder.pid}${command ? ` (${command})` : ""}`;
  return new EmbeddedServiceError(
    "DATA_FOLDER_HELD",
    `The data folder ${folder} is in use by ${who} since ${holder.since}. ` +
      "Stop that one first, or set DATA_DIR (and PORT) to run another one beside it.",
  );
}

function read(path: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined; // no lock, or a file that is not our lock
  }
}

function ageMs(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
}
