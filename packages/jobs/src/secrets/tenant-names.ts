import { createHmac, hkdfSync } from "node:crypto";

/** 128 bits: nobody guesses them, and a path stays short. */
const nameDigits = 32;

/**
 * Names that only somebody who knows a tenant's secret can work out: HMAC-SHA256 under a key of the tenant's own. A tenant
 * that learns some of its names learns nothing of its other names, of its secret, or of another tenant.
 */
export class TenantNames {
  readonly #key: Buffer;

  /**
   * @param tenantSecret random, and the tenant's own
   * @param secretsKey SECRETS_KEY, where one is set: then reading the database does not suffice to work the names out
   */
  constructor(tenantSecret: Uint8Array, secretsKey: string | undefined) {
    this.#key = Buffer.from(
      hkdfSync("sha256", tenantSecret, secretsKey ?? "", "genga: names on servers", 32),
    );
  }

  /** The name of one thing, as hex digits. The same use and parts always have the same name. */
  of(use: string, ...parts: (string | number)[]): string {
    return createHmac("sha256", this.#key)
      .update(JSON.stringify([use, ...parts]))
      .digest("hex")
      .slice(0, nameDigits);
  }
}
