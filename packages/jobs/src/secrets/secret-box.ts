import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

/** The layout: version, key id, nonce, tag, ciphertext. A change of the layout gets a new version. */
const version = 1;
const keyIdBytes = 4;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + keyIdBytes + nonceBytes + tagBytes;

/** An encrypted text cannot be decrypted here. The message contains nothing of the text. */
export class SecretBoxError extends Error {
  override readonly name = "SecretBoxError";
}

interface BoxKey {
  id: Buffer;
  key: Buffer;
}

/**
 * Encrypts secrets that must be stored: AES-256-GCM, under keys derived from SECRETS_KEY. A text that was encrypted for
 * one row cannot be decrypted for another.
 */
export class SecretBox {
  readonly #keys: readonly BoxKey[];

  /** @param secretsKeys newest first: the first one encrypts, all of them decrypt */
  constructor(secretsKeys: readonly [string, ...string[]]) {
    this.#keys = secretsKeys.map((text) => ({
      id: derive(text, "genga: key id", keyIdBytes),
      key: derive(text, "genga: encryption", 32),
    }));
  }

  /** @param identity identifies the row, such as `jobs/<id>/extra-data` */
  seal(text: string, identity: string): Buffer {
    const [first] = this.#keys;
    if (first === undefined) throw new Error("A SecretBox has at least one key.");
    const start = Buffer.concat([Buffer.from([version]), first.id]);
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", first.key, nonce).setAAD(boundTo(start, identity));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([start, nonce, cipher.getAuthTag(), sealed]);
  }

  /** @throws SecretBoxError when the text was encrypted under another key, for another row, or was changed since */
  open(sealed: Uint8Array, identity: string): string {
    const bytes = Buffer.from(sealed);
    if (bytes.length < headBytes || bytes[0] !== version) {
      throw new SecretBoxError("It was encrypted by a version of Genga that this one does not know.");
    }
    const start = bytes.subarray(0, 1 + keyIdBytes);
    const known = this.#keys.find(({ id }) => id.equals(start.subarray(1)));
    if (known === undefined)
      throw new SecretBoxError("It was encrypted under a SECRETS_KEY that is not set here.");
    const nonce = bytes.subarray(start.length, start.length + nonceBytes);
    const decipher = createDecipheriv("aes-256-gcm", known.key, nonce)
      .setAAD(boundTo(start, identity))
      .setAuthTag(bytes.subarray(start.length + nonceBytes, headBytes));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(headBytes)), decipher.final()]).toString("utf8");
    } catch (error) {
      throw new SecretBoxError("It was encrypted for another row, or was changed since.", { cause: error });
    }
  }
}

/** @param secretsKeys newest first; `undefined` = SECRETS_KEY is not set, and nothing can be kept encrypted */
export function openSecretBox([first, ...older]: readonly string[]): SecretBox | undefined {
  return first === undefined ? undefined : new SecretBox([first, ...older]);
}

function derive(secretsKey: string, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync("sha256", secretsKey, "", purpose, bytes));
}

function boundTo(start: Buffer, identity: string): Buffer {
  return Buffer.concat([start, Buffer.from(identity)]);
}
