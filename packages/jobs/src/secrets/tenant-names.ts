import { createHmac, hkdfSync } from "node:crypto";

/** 128 bits cannot be guessed, and keep paths short. */
const nameDigits = 32;

/**
 * Names that only a holder of a tenant's secret can compute: HMAC-SHA256 under a key of the tenant. A tenant that
 * learns some of its names learns nothing of its other names, of its secret, or of another tenant's.
 */
export class TenantNames {
  readonly #key: Buffer;

  /**
   * @param tenantSecret random, one for each tenant
   * @param secretsKey SECRETS_KEY, if it is set: then somebody who can read the database still cannot compute the names
   */
  constructor(tenantSecret: Uint8Array, secretsKey: string | undefined) {
    this.#key = Buffer.from(
      hkdfSync("sha256", tenantSecret, secretsKey ?? "", "genga: names on servers", 32),
    );
  }

  /** The name of one thing, as hex digits. Equal use and parts always give the same name. */
  of(use: string, ...parts: (string | number)[]): string {
    return createHmac("sha256", this.#key)
      .update(JSON.stringify([use, ...parts]))
      .digest("hex")
      .slice(0, nameDigits);
  }
}
