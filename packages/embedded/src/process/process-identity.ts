import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from "node:child_process";
import { readFileSync } from "node:fs";
import { systemErrorCode } from "./system-error-code.ts";

/**
 * The start time of a process. It distinguishes the process from a later one with the same pid. Undefined if there is
 * no such process, or the system does not tell.
 */
export function startOf(pid: number): string | undefined {
  if (process.platform !== "linux") return askPs(pid, "lstart");
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may hold spaces; the 22nd field is the start.
    const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${started ?? ""}`;
  } catch {
    return undefined; // the process has ended, or /proc is not mounted
  }
}

/** The command line of a running process, for messages, and for telling our own servers from other programs. */
export function commandOf(pid: number): string | undefined {
  if (process.platform !== "linux") return askPs(pid, "command");
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return undefined;
  }
}

/**
 * True while a process with this pid exists, whoever owns it. A zombie does not count, because it no longer holds any
 * resource.
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return systemErrorCode(error) === "EPERM";
  }
  return !isZombie(pid);
}

function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return askPs(pid, "state")?.startsWith("Z") ?? false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return false;
  }
}

function askPs(pid: number, column: string): string | undefined {
  try {
    const options = {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    } satisfies ExecFileSyncOptionsWithStringEncoding;
    return execFileSync("ps", ["-o", `${column}=`, "-p", String(pid)], options).trim() || undefined;
  } catch {
    return undefined;
  }
}
