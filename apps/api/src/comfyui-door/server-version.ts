/** The version of a server as numbers; a version that cannot be read counts as older than all others. */
function numbersOf(version: string | null): number[] {
  const found = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version ?? "")?.[0] ?? "";
  return found === "" ? [] : found.replace("v", "").split(".").map(Number);
}

/** For sorting: the newest version first. */
export function newestFirst(one: string | null, other: string | null): number {
  const [ofOne, ofOther] = [numbersOf(one), numbersOf(other)];
  for (const place of [0, 1, 2]) {
    const difference = (ofOther[place] ?? -1) - (ofOne[place] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * Whether a server of this version has the protocol of 0.28: prompt ids are UUIDs, and refusals name missing nodes and cycles
 * (PROTOCOL-0.28 1). Versions between it and 0.3 were not recorded and count as newer ones. No known version counts as the newest.
 */
export function isNewer(version: string | null): boolean {
  const [major, minor] = numbersOf(version);
  return major === undefined || minor === undefined || major > 0 || minor > 3;
}
