import {
  InvalidJobError,
  type NewAddedServer,
  openSecretBox,
  serverAuthorizationIdentity,
} from "@genga/jobs";
import { AddressError, readComfyUIAddress, type ServiceConfiguration } from "@genga/runtime";

/** The body of the request that adds a server. */
interface ServerBody {
  url: string;
  slots?: number | undefined;
  labels?: string[] | undefined;
  credential?: string | undefined;
  authorization?: { basic: { user: string; password: string } } | { bearer: { token: string } } | undefined;
}

type NewServersSettings = Pick<ServiceConfiguration, "addedServersMax" | "secretsKeys" | "serverSlots">;

/** Checks servers that operators add, and encrypts their credentials. */
export class NewServers {
  /** How many added servers the farm may have. */
  readonly countMax: number;
  readonly #slots: number;
  readonly #secretBox: ReturnType<typeof openSecretBox>;

  constructor({ addedServersMax, serverSlots, secretsKeys }: NewServersSettings) {
    this.countMax = addedServersMax;
    this.#slots = serverSlots;
    this.#secretBox = openSecretBox(secretsKeys);
  }

  /** @throws InvalidJobError that names the field */
  read({ url, slots, labels = [], credential, authorization }: ServerBody): NewAddedServer {
    if (credential !== undefined && authorization !== undefined) {
      throw refusal("authorization", "invalid-value", "Either credential or authorization, not both.");
    }
    return {
      url: addressOf(url),
      slots: slots ?? this.#slots,
      labels: [...new Set(labels)].sort(),
      credential: credential ?? null,
      seal: authorization === undefined ? null : this.#sealing(headerOf(authorization)),
    };
  }

  #sealing(header: string): (serverId: string) => Uint8Array {
    const secretBox = this.#secretBox;
    if (secretBox === undefined) {
      const message =
        "Credentials must be kept encrypted, and SECRETS_KEY is not set here. Set it for all APIs and workers, or name " +
        "credentials of COMFYUI_SERVERS_FILE in the field credential.";
      throw refusal("authorization", "secrets-key-missing", message);
    }
    return (serverId) => secretBox.seal(header, serverAuthorizationIdentity(serverId));
  }
}

/** The identity of the server. The refusal quotes nothing, because the text may hold a password. */
function addressOf(text: string): string {
  try {
    const { identity, credentials } = readComfyUIAddress(text, undefined);
    if (credentials === undefined) return identity;
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
  }
  const message =
    "url must begin with http:// or https:// and have at most 2000 characters, without user and password (send them as authorization), query and fragment.";
  throw refusal("url", "invalid-value", message);
}

function headerOf(authorization: NonNullable<ServerBody["authorization"]>): string {
  if ("bearer" in authorization) return `Bearer ${authorization.bearer.token}`;
  const { user, password } = authorization.basic;
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function refusal(
  path: string,
  code: "invalid-value" | "secrets-key-missing",
  message: string,
): InvalidJobError {
  return new InvalidJobError([{ path, code, message }]);
}
