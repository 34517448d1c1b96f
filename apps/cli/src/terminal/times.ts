/** A length of time in its two largest units: `2 h 5 min`. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago, or in how long: `3 min 4 s ago`. */
export function sinceText(iso: string | null | undefined, now: number = Date.now()): string | null {
  if (iso === null || iso === undefined) return null;
  const ms = now - Date.parse(iso);
  return ms < 0 ? `in ${durationText(-ms)}` : `${durationText(ms)} ago`;
}

/** @returns milliseconds of `90`, `90s`, `15m`, `2h`; undefined for anything else */
export function durationMs(text: string): number | undefined {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Number(amount) * { s: 1_000, m: 60_000, h: 3_600_000 }[unit as "s" | "m" | "h"];
}
