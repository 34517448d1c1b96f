import { createHash, randomUUID } from "node:crypto";
import { chownSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedServiceError } from "../process/embedded-service-error.ts";
import { canReach, type Account } from "./postgres-account.ts";

/**
 * The folder that holds Postgres's data and settings: `postgres` in the data folder, where Postgres's user can reach
 * it. Projects of root often lie in folders that `nobody` may not enter. The data then lies in a folder of its own
 * below the system's state folder, named after the data folder, and a line reports it.
 */
export function postgresFolder(dataDir: string, account: Account, report: (line: string) => void): string {
  const home = join(dataDir, "postgres");
  mkdirSync(home, { recursive: true, mode: 0o755 });
  if (account.uid === undefined || canReach(account, home)) return home;

  for (const base of [systemStateFolder, join(tmpdir(), "genga")]) {
    const folder = join(base, `postgres-${nameFor(home)}`);
    try {
      mkdirSync(folder, { recursive: true, mode: 0o755 });
    } catch {
      continue; // a read-only file system
    }
    if (!canReach(account, folder)) continue;
    report(
      `postgres keeps its data in ${folder}, because its user (uid ${account.uid}) cannot enter ${home}`,
    );
    return folder;
  }
  throw new EmbeddedServiceError(
    "PROGRAM_UNAVAILABLE",
    `Postgres does not run as root, and the user nobody can reach neither ${home} nor ${systemStateFolder}. ` +
      "Set DATA_DIR to a folder that every user may enter, or set DATABASE_URL to use another Postgres.",
  );
}

/** The folder to which the programs are copied for an account that cannot use the installed ones. */
export function copiesFolder(account: Account, cacheFolder: string): string {
  return account.uid === undefined ? cacheFolder : systemStateFolder;
}

const systemStateFolder = "/var/lib/genga";

/**
 * A name for the data folder. The same folder always gets the same name; a copy of it, or a new folder at its path,
 * gets another.
 */
function nameFor(home: string): string {
  const idFile = join(home, "id");
  if (!existsSync(idFile)) writeFileSync(idFile, randomUUID());
  const identity = `${realpathSync(home)}\n${readFileSync(idFile, "utf8")}`;
  return createHash("sha256").update(identity).digest("hex").slice(0, 16);
}

/** Makes a folder that belongs to the account alone. */
export function makePrivateFolder(folder: string, account: Account): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (account.uid !== undefined && account.gid !== undefined) chownSync(folder, account.uid, account.gid);
}
