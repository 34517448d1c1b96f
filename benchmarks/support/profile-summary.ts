import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";

const profileSchema = z.object({
  nodes: z.array(
    z.object({ id: z.number(), callFrame: z.object({ functionName: z.string(), url: z.string() }) }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
});

/** Where a process is told to write a CPU profile when it ends. */
export function profilingEnvironment(folder: string): Record<string, string> {
  // Of the checkout, since this file may run in its compiled form from another place.
  const recorder = pathToFileURL(join(process.cwd(), "benchmarks/support/record-profile.mjs"));
  return { NODE_OPTIONS: `--import=${recorder.href}`, PROFILE_FOLDER: folder };
}

/** Of each profile in the folder: the shares of its busy time by package, the largest first, as a line. */
export async function summarizeProfiles(folder: string, partsMax = 14): Promise<string[]> {
  const lines: string[] = [];
  for (const name of await readdir(folder)) {
    const profile = profileSchema.parse(JSON.parse(await readFile(join(folder, name), "utf8")));
    const partOf = new Map(profile.nodes.map(({ id, callFrame }) => [id, partNamed(callFrame)]));
    const times = new Map<string, number>();
    profile.samples.forEach((id, index) => {
      const part = partOf.get(id) ?? "";
      if (part !== "(idle)") times.set(part, (times.get(part) ?? 0) + (profile.timeDeltas[index] ?? 0));
    });
    const busy = [...times.values()].reduce((sum, time) => sum + time, 0);
    const parts = [...times].toSorted(([, one], [, other]) => other - one).slice(0, partsMax);
    const shares = parts.map(([part, time]) => `${part} ${((100 * time) / busy).toFixed(1)} %`);
    lines.push(`${name}: busy ${(busy / 1e6).toFixed(1)} s: ${shares.join(", ")}`);
  }
  return lines;
}

function partNamed({ functionName, url }: { functionName: string; url: string }): string {
  const installed = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (installed !== undefined) return installed;
  const own = /\/((?:packages|apps)\/[^/]+)\//.exec(url)?.[1];
  if (own !== undefined) return own;
  if (url.startsWith("node:")) return "node";
  return functionName.startsWith("(") ? functionName : "native";
}
