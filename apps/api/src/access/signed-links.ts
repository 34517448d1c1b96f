import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { parse as bytesOfUuid, stringify as uuidOfBytes } from "uuid";

/** What a link gives: the bytes of an output, or the zip of a batch, whose files are named by `names`. */
export type LinkedThing =
  | { readonly kind: "output"; readonly id: string }
  | { readonly kind: "batch-zip"; readonly id: string; readonly names: string };

/** The layout of a token: version, expiry in seconds, tenant, signature. */
const version = 1;
const expiryBytes = 6;
const tenantBytes = 16;
const headBytes = 1 + expiryBytes + tenantBytes;
const signatureBytes = 32;

export const tokenPattern = `^[A-Za-z0-9_-]{${Math.ceil(((headBytes + signatureBytes) * 8) / 6)}}$`;

export type CheckedToken = { tenantId: string; expiresAt: Date } | "forged" | "expired";

/**
 * Signs links that work without an API key until they expire: HMAC-SHA256 under a key that is derived from SECRETS_KEY for
 * this purpose alone. A token is valid for one thing of one tenant, for reading it, and contains no secret. Any process
 * with the same SECRETS_KEY accepts it; a change of SECRETS_KEY ends it.
 */
export class SignedLinks {
  readonly #keys: readonly Buffer[];

  /** @param secretsKeys newest first: the first one signs, all of them are accepted. None = no link can be signed. */
  constructor(secretsKeys: readonly string[]) {
    this.#keys = secretsKeys.map((text) =>
      Buffer.from(hkdfSync("sha256", text, "", "genga: signed links", 32)),
    );
  }

  /** Whether SECRETS_KEY is set. */
  get canSign(): boolean {
    return this.#keys.length > 0;
  }

  sign(thing: LinkedThing, tenantId: string, expiresAt: Date): string {
    const [key] = this.#keys;
    if (key === undefined) throw new Error("Without SECRETS_KEY nothing can be signed.");
    const head = Buffer.alloc(headBytes);
    head.writeUInt8(version, 0);
    head.writeUIntBE(Math.floor(expiresAt.getTime() / 1000), 1, expiryBytes);
    head.set(bytesOfUuid(tenantId), 1 + expiryBytes);
    return Buffer.concat([head, signatureOf(key, head, thing)]).toString("base64url");
  }

  /** Whether the token was signed here for this thing. The expiry counts only if it was. */
  check(token: string, thing: LinkedThing, now: Date): CheckedToken {
    const bytes = Buffer.from(token, "base64url");
    const isWhole = bytes.length === headBytes + signatureBytes && bytes.toString("base64url") === token;
    if (!isWhole || bytes[0] !== version) return "forged";
    const [head, signature] = [bytes.subarray(0, headBytes), bytes.subarray(headBytes)];
    if (!this.#keys.some((key) => timingSafeEqual(signature, signatureOf(key, head, thing)))) return "forged";
    const expiresAt = new Date(head.readUIntBE(1, expiryBytes) * 1000);
    return expiresAt <= now ? "expired" : { tenantId: uuidOfBytes(head, 1 + expiryBytes), expiresAt };
  }
}

function signatureOf(key: Buffer, head: Buffer, thing: LinkedThing): Buffer {
  const names = thing.kind === "batch-zip" ? thing.names : null;
  const said = JSON.stringify(["GET", thing.kind, thing.id, names]);
  return createHmac("sha256", key).update(head).update(said).digest();
}
