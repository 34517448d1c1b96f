export const jobKinds = ["image", "video", "template", "workflow"] as const;
export type JobKind = (typeof jobKinds)[number];

/** What is being made stands in the address; what was typed is kept by `draft.ts`. */
export interface CreateSearch {
  readonly kind?: JobKind;
  /** The name of the template. */
  readonly template?: string;
  /** Many jobs at once, by lists of values. */
  readonly sweep?: true;
  /** An output that is to be the first image: the id of its job, a dot, and its index. Taken into the form at once. */
  readonly image?: string;
}

const imagePattern = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,5})$/;

/** @returns the job, and the index of its output; `undefined` = the text is none */
export function readImage(text: string | undefined): { from: string; output: string } | undefined {
  const [, from, output] = imagePattern.exec(text ?? "") ?? [];
  return from === undefined || output === undefined ? undefined : { from, output };
}

/** Addresses may be old or written by hand: what is not known is left out. */
export function readCreateSearch(search: Record<string, unknown>): CreateSearch {
  const kind = jobKinds.find((known) => known === search["kind"]);
  const { template, image } = search;
  return {
    ...(kind !== undefined && kind !== "image" && { kind }),
    ...((typeof template === "string" || typeof template === "number") &&
      template !== "" && { template: String(template) }),
    ...(search["sweep"] === true && { sweep: true as const }),
    ...(typeof image === "string" && readImage(image) !== undefined && { image }),
  };
}
