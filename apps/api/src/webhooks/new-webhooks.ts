import { InvalidJobError, webhookSecretIdentity, type SecretBox } from "@genga/jobs";
import { makeSecret, urlProblem, type UrlRules } from "@genga/webhooks";
import { shorten } from "@genga/workflows";
import { RefusedError } from "../http/problem-document.ts";

/** What every new webhook, and every change of one, must pass. */
export class NewWebhooks {
  readonly #rules: UrlRules;
  readonly #secretBox: SecretBox | undefined;
  /** The most webhooks for all of its jobs that one tenant may have. */
  readonly perTenantMax: number;

  /** @param options.secretBox absent when SECRETS_KEY is not set; webhooks are refused then */
  constructor(options: { rules: UrlRules; secretBox: SecretBox | undefined; perTenantMax: number }) {
    this.#rules = options.rules;
    this.#secretBox = options.secretBox;
    this.perTenantMax = options.perTenantMax;
  }

  /** @throws InvalidJobError when nothing is sent to this URL */
  assertUrl(url: string): void {
    const problem = urlProblem(url, this.#rules);
    if (problem === null) return;
    const message = `url ${problem}.`;
    throw new InvalidJobError([{ path: "url", code: "invalid-value", message, received: shorten(url) }]);
  }

  /**
   * Encrypts a webhook's secret for its row, after making it if none is given.
   * @throws RefusedError when SECRETS_KEY is not set
   */
  seal(webhookId: string, given: string | undefined): { secret: string; sealed: Uint8Array } {
    if (this.#secretBox === undefined) {
      throw new RefusedError(
        "secrets-key-missing",
        "Webhooks are signed, and their secrets are kept encrypted; for that, the operator has to set SECRETS_KEY.",
      );
    }
    const secret = given ?? makeSecret();
    return { secret, sealed: this.#secretBox.seal(secret, webhookSecretIdentity(webhookId)) };
  }
}
