import { type OwnedServer } from "./owned-server.ts";

/** Why outputs could not be stored, in words. */
export interface StorageProblem {
  hold: "storage-full" | "storage-unavailable";
  reason: string;
}

/** Gives the server no new work while its outputs could not be stored; `null` ends that. */
export function holdForStorage(server: OwnedServer, problem: StorageProblem | null): void {
  for (const hold of ["storage-full", "storage-unavailable"] as const) {
    const reason = problem?.hold === hold ? problem.reason : null;
    if (reason !== null || server.holds.has(hold)) server.hold(hold, reason);
  }
}
