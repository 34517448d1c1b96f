import { z } from "zod";
import { type Recording } from "./recordings.ts";

/** The recordings that a server is held to, and whether it is newer than the one they were made on. */
export interface HeldTo {
  readonly version: Recording["version"];
  readonly isNewer: boolean;
}

const systemStats = z.object({ system: z.object({ comfyui_version: z.string() }) });

const newestRecorded = 28;

/** Asks a server for its version: 0.3.x is held to the recordings of 0.3.64, everything else to those of 0.28. */
export async function heldTo(url: string): Promise<HeldTo> {
  const stats: unknown = await (await fetch(new URL("/system_stats", url))).json();
  const [major = 0, minor = 0] = systemStats.parse(stats).system.comfyui_version.split(".").map(Number);
  if (major === 0 && minor === 3) return { version: "0.3.64", isNewer: false };
  return { version: "0.28", isNewer: major > 0 || minor > newestRecorded };
}
