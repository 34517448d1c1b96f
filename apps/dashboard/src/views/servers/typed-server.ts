import { type paths } from "@genga/client";

type Body = paths["/api/anime/servers"]["post"]["requestBody"]["content"]["application/json"];

export type CredentialKind = "none" | "basic" | "bearer" | "named";

/** What a person has typed of a new server. */
export interface TypedServer {
  readonly url: string;
  readonly slots: string;
  readonly labels: readonly string[];
  readonly kind: CredentialKind;
  readonly user: string;
  readonly password: string;
  readonly token: string;
  /** The name of credentials in the servers file. */
  readonly credential: string;
}

export const emptyServer: TypedServer = {
  ...{ url: "", slots: "", labels: [], kind: "none" },
  ...{ user: "", password: "", token: "", credential: "" },
};

/** The body that adds the server. What is no number is sent as it was typed, for the API to refuse. */
export function bodyOf({ url, slots, labels, kind, ...typed }: TypedServer): Body {
  const { user, password, token, credential } = typed;
  const count = /^\d+$/.test(slots.trim()) ? Number(slots) : slots.trim();
  return {
    url: url.trim(),
    ...(slots.trim() !== "" && { slots: count as number }),
    ...(labels.length > 0 && { labels: [...labels] }),
    ...(kind === "basic" && { authorization: { basic: { user, password } } }),
    ...(kind === "bearer" && { authorization: { bearer: { token: token.trim() } } }),
    ...(kind === "named" && { credential: credential.trim() }),
  };
}
