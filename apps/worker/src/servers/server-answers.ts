import { randomUUID } from "node:crypto";
import { type ComfyUIConnector, ComfyUIError } from "@genga/comfyui";
import { type ServerDevice } from "@genga/jobs";
import { z } from "zod";

const bytes = z.number().nonnegative().optional().catch(undefined);
const text = z.string().optional().catch(undefined);
const systemStatsSchema = z.object({
  system: z.object({ comfyui_version: z.string().optional(), ram_free: bytes }).optional(),
  devices: z
    .array(z.object({ name: text, type: text, vram_total: bytes, vram_free: bytes }))
    .optional()
    .catch(undefined),
});
const historySchema = z.record(z.string(), z.unknown());

interface Call {
  timeoutMs: number;
  signal: AbortSignal;
}

/** ComfyUI's own version; `null` = the server does not tell it. @param stats the answer to `/system_stats` */
export function versionIn(stats: unknown): string | null {
  return systemStatsSchema.safeParse(stats).data?.system?.comfyui_version ?? null;
}

/** A farm must not be a server of itself, or of another farm. @param stats the answer to `/system_stats` @throws ComfyUIError */
export function notGenga<Stats>(stats: Stats): Stats {
  if (z.object({ genga: z.unknown() }).safeParse(stats).data?.genga === undefined) return stats;
  const message =
    "This is no ComfyUI: it is Genga, which serves ComfyUI's protocol in front of its own servers.";
  throw new ComfyUIError("bad_reply", message);
}

/** Free memory; of several devices, that of the one with least. `null` = the server does not tell it. */
export interface FreeMemory {
  vramBytes: number | null;
  ramBytes: number | null;
}

/** @param stats the answer to `/system_stats` */
export function freeMemoryIn(stats: unknown): FreeMemory {
  const { system, devices = [] } = systemStatsSchema.safeParse(stats).data ?? {};
  const free = devices.flatMap(({ vram_free: vram }) => vram ?? []);
  return { vramBytes: free.length === 0 ? null : Math.min(...free), ramBytes: system?.ram_free ?? null };
}

/** More than any machine has. */
const devicesMax = 16;
const nameLengthMax = 100;

/** The devices that tell their memory. @param stats the answer to `/system_stats` */
export function devicesIn(stats: unknown): ServerDevice[] {
  const { devices = [] } = systemStatsSchema.safeParse(stats).data ?? {};
  return devices
    .flatMap(({ name = "", type = "", vram_total: total, vram_free: free }) => {
      if (total === undefined || free === undefined) return [];
      const texts = { name: name.slice(0, nameLengthMax), type: type.slice(0, nameLengthMax) };
      return [{ ...texts, totalBytes: Math.floor(total), freeBytes: Math.floor(free) }];
    })
    .slice(0, devicesMax);
}

/**
 * Fails unless the history answers: a server without it could not tell how a prompt ended. It answers `{}` for an
 * unknown prompt (PROTOCOL 0.2).
 */
export async function requireHistory(connector: ComfyUIConnector, call: Call): Promise<void> {
  const path = `/history/${randomUUID()}`;
  const history = await connector.makeRequest("GET", path, call);
  if (historySchema.safeParse(history).success) return;
  throw new ComfyUIError("bad_reply", `GET ${path}: not the answer that a ComfyUI gives.`);
}
