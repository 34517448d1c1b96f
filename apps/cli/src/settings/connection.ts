import { UsageError } from "../terminal/exit-codes.ts";
import { settingOf } from "./environment.ts";
import { loginPath, readLogin } from "./kept-login.ts";

export interface Connection {
  readonly url: string;
  readonly key: string | undefined;
}

export const defaultUrl = "http://127.0.0.1:8328";

/**
 * Where the API is, and the key for it: the option, then the environment, then what `genga login` keeps. A kept key goes to the
 * address that it was given for, and to no other. No option has a key: other users of the machine see command lines.
 * @throws UsageError
 */
export async function connectionOf(
  options: { readonly url?: string | undefined },
  env: NodeJS.ProcessEnv,
): Promise<Connection> {
  const given = options.url ?? settingOf(env, "GENGA_URL");
  const key = settingOf(env, "GENGA_API_KEY");
  const kept = given !== undefined && key !== undefined ? null : await readLogin(loginPath(env));
  const url = checkedUrl(given ?? kept?.url ?? defaultUrl);
  const isKept = kept !== null && checkedUrl(kept.url) === url;
  if (key !== undefined) return { url, key: checkedKey(key, "GENGA_API_KEY") };
  return { url, key: isKept && kept.key !== undefined ? checkedKey(kept.key, "The kept key") : undefined };
}

/** Where the API is, as `connectionOf` has it. @throws UsageError */
export async function addressOf(
  options: { readonly url?: string | undefined },
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const given = options.url ?? settingOf(env, "GENGA_URL");
  return checkedUrl(given ?? (await readLogin(loginPath(env)))?.url ?? defaultUrl);
}

/**
 * A key without the spaces and line breaks around it.
 * @param from what the message calls it; the key itself is never told
 * @throws UsageError
 */
export function checkedKey(text: string, from: string): string {
  const key = text.trim();
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw new UsageError(
    `${from} is no API key: a key is of printable ASCII characters, without spaces and line breaks.`,
  );
}

/** @returns without a slash at the end @throws UsageError */
export function checkedUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UsageError(`"${text}" is no address; write one as http://host:8328.`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new UsageError(`"${text}" is no address of an API: it begins with http:// or https://.`);
  if (url.username !== "" || url.password !== "")
    throw new UsageError("The address holds a password. Give the key by `genga login` or GENGA_API_KEY.");
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}
