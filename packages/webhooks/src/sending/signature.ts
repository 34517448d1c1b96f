import { createHmac, randomBytes } from "node:crypto";

/** Standard Webhooks: `whsec_`, and 24 to 64 bytes in base64. */
const secretPrefix = "whsec_";
const secretBytes = { least: 24, most: 64 } as const;
const madeBytes = 32;

/** As JSON Schema and people read it. */
export const secretPattern = "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$";

export function makeSecret(): string {
  return `${secretPrefix}${randomBytes(madeBytes).toString("base64")}`;
}

/** Whether a text can be the secret of a webhook. */
export function isSecret(text: string): boolean {
  if (!new RegExp(secretPattern).test(text)) return false;
  const key = keyOf(text);
  // Padding in the wrong place, or bits that no byte has: other libraries may read another key.
  const isExact =
    key.toString("base64").replace(/=+$/, "") === text.slice(secretPrefix.length).replace(/=+$/, "");
  return isExact && key.length >= secretBytes.least && key.length <= secretBytes.most;
}

/** What is signed of a message, besides its body. */
export interface SignedHead {
  /** Stays the same in all attempts, so that receivers can tell repetitions. */
  readonly id: string;
  /** The moment of this attempt. */
  readonly at: Date;
}

/**
 * The headers of Standard Webhooks for a message.
 * @param secrets those that receivers may know: during a rotation two, each of which signs
 */
export function signedHeaders(
  { id, at }: SignedHead,
  body: string,
  secrets: readonly string[],
): Record<"webhook-id" | "webhook-timestamp" | "webhook-signature", string> {
  const timestamp = String(Math.floor(at.getTime() / 1_000));
  const signatures = secrets.map((secret) => {
    const hmac = createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.${body}`);
    return `v1,${hmac.digest("base64")}`;
  });
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signatures.join(" "),
  };
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(secretPrefix.length), "base64");
}
