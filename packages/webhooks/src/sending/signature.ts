import { createHmac, randomBytes } from "node:crypto";

const secretPrefix = "whsec_";
const madeBytes = 32;

const four = "[A-Za-z0-9+/]{4}";
/** The last two or three characters, of which the very last has no bits that no byte has. */
const lastByte = "[A-Za-z0-9+/][AQgw](?:==)?";
const lastTwoBytes = "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=?";

/**
 * Standard Webhooks: `whsec_`, and 24 to 64 bytes in base64, with padding or without. Nothing that another library may read
 * as another key. As JSON Schema and people read it.
 */
export const secretPattern = `^${secretPrefix}(?:(?:${four}){8,20}(?:${lastTwoBytes}|${lastByte})?|(?:${four}){21}(?:${lastByte})?)$`;

export function makeSecret(): string {
  return `${secretPrefix}${randomBytes(madeBytes).toString("base64")}`;
}

const secretShape = new RegExp(secretPattern);

/** Whether a text can be the secret of a webhook. */
export function isSecret(text: string): boolean {
  return secretShape.test(text);
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
