/**
 * The URL that a text is; `null` = it is none. Not by `URL.canParse`: once Node 20 has compiled a caller of it, it refuses
 * texts with letters such as ü.
 */
export function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
