/** At most this many labels may a job require, and a server have. */
export const labelsMax = { required: 10, ofServer: 50 } as const;

const labelPattern = /^(?=.{1,64}$)[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?$/;

/** What a label looks like, for messages. */
export const labelShape =
  "1 to 64 lower-case letters, digits, dots, hyphens or underscores, in one or two parts, such as gpu:24gb";

/** Whether the text may be the label of a server: `gpu:24gb`, `pool:night`, `fast`. */
export function isServerLabel(text: string): boolean {
  return labelPattern.test(text);
}
