export const jobKinds = ["image", "video", "template", "workflow"] as const;
export type JobKind = (typeof jobKinds)[number];

/** What is being made stands in the address; what was typed is kept by `draft.ts`. */
export interface CreateSearch {
  readonly kind?: JobKind;
  /** The name of the template. */
  readonly template?: string;
  /** Many jobs at once, by lists of values. */
  readonly sweep?: true;
}

/** Addresses may be old or written by hand: what is not known is left out. */
export function readCreateSearch(search: Record<string, unknown>): CreateSearch {
  const kind = jobKinds.find((known) => known === search["kind"]);
  const template = search["template"];
  return {
    ...(kind !== undefined && kind !== "image" && { kind }),
    ...((typeof template === "string" || typeof template === "number") &&
      template !== "" && { template: String(template) }),
    ...(search["sweep"] === true && { sweep: true as const }),
  };
}
