/** Inclusive byte offsets. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * Reads a `Range` of one part (RFC 9110, 14). `null` = send everything: there is none, it is not understood, it has
 * several parts, or `If-Range` names another version. Express's `request.range` would refuse (416) a suffix that is
 * longer than the file, such as a player's `bytes=-65536`, for which RFC 9110 (14.1.2) asks the whole file.
 */
export function readRange(
  range: string | undefined,
  ifRange: string | undefined,
  file: { bytes: number; sha256: string },
): ByteRange | null | "not-satisfiable" {
  if (range === undefined || (ifRange !== undefined && ifRange !== `"${file.sha256}"`)) return null;
  const match = /^bytes=(\d*)-(\d*)$/i.exec(range.replaceAll(" ", ""));
  const [, first = "", last = ""] = match ?? [];
  if (first === "" && last === "") return null;
  if (first === "") {
    const suffix = Math.min(Number(last), file.bytes);
    return suffix === 0 ? "not-satisfiable" : { start: file.bytes - suffix, end: file.bytes - 1 };
  }
  const start = Number(first);
  const end = last === "" ? file.bytes - 1 : Math.min(Number(last), file.bytes - 1);
  if (last !== "" && Number(last) < start) return null;
  return start >= file.bytes ? "not-satisfiable" : { start, end };
}
