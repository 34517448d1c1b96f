/**
 * Whether `If-None-Match` names this tag. Express's `request.fresh` ignores the tags of a request with `Cache-Control:
 * no-cache`, which the fetch of browsers adds to every request that names tags.
 * @param wanted the header
 * @param tag with its quotes
 */
export function isFreshTag(wanted: string | undefined, tag: string): boolean {
  if (wanted === undefined) return false;
  return wanted.trim() === "*" || wanted.split(",").some((each) => each.trim().replace(/^W\//, "") === tag);
}
