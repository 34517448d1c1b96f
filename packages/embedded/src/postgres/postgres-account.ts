import { spawnSync } from "node:child_process";

/** The account that runs Postgres; empty for this process's own user. */
export interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** Postgres refuses to run as root, so root runs it as `nobody`; every other user runs it as itself. */
export function postgresAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  return { uid: idOf("-u"), gid: idOf("-g") };
}

/** Whether the account may enter and read this folder; every folder above it must allow that, too. */
export function canReach(account: Account, folder: string): boolean {
  const list = spawnSync("/bin/sh", ["-c", 'cd "$1" && ls >/dev/null', "sh", folder], {
    ...account,
    cwd: "/",
    stdio: "ignore",
  });
  return list.status === 0;
}

const usualNobody = 65534;

function idOf(flag: "-u" | "-g"): number {
  const answer = spawnSync("id", [flag, "nobody"], { encoding: "utf8" });
  const id = Number(answer.status === 0 ? answer.stdout.trim() : Number.NaN);
  return Number.isInteger(id) && id > 0 ? id : usualNobody;
}
