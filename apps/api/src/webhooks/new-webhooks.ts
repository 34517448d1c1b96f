import {
  InvalidJobError,
  openSecretBox,
  usualWebhookEvents,
  webhookSecretIdentity,
  type NewWebhook,
  type SecretBox,
  type SubmittedWebhook,
} from "@genga/jobs";
import { type ServiceConfiguration } from "@genga/runtime";
import { makeSecret, urlProblem, urlRulesOf, type UrlRules } from "@genga/webhooks";
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
  assertUrl(url: string, path = "url"): void {
    const problem = urlProblem(url, this.#rules);
    if (problem === null) return;
    const message = `${path} ${problem}.`;
    throw new InvalidJobError([{ path, code: "invalid-value", message, received: shorten(url) }]);
  }

  /** The webhook of a submitted job or batch, which has its id. @throws InvalidJobError */
  ofSubmission({ url, events, secret }: SubmittedWebhook, id: string): NewWebhook {
    this.assertUrl(url, "webhook.url");
    if (this.#secretBox === undefined) {
      const message =
        "webhook.secret must be kept encrypted, and SECRETS_KEY is not set here; the operator can set it.";
      throw new InvalidJobError([{ path: "webhook.secret", code: "secrets-key-missing", message }]);
    }
    return { id, url, events: events ?? [...usualWebhookEvents], sealedSecret: this.seal(id, secret).sealed };
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

export function openNewWebhooks({ webhooks, secretsKeys }: ServiceConfiguration): NewWebhooks {
  const { perTenantMax } = webhooks;
  return new NewWebhooks({
    rules: urlRulesOf(webhooks),
    secretBox: openSecretBox(secretsKeys),
    perTenantMax,
  });
}
