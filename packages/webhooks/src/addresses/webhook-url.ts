import { isIP } from "node:net";
import { parseUrl } from "@genga/runtime";
import { type AddressRules } from "./address-rules.ts";

/** Which URLs webhooks may have. */
export interface UrlRules {
  /** Also `http:`, by which everybody on the way reads what is sent. */
  readonly allowHttp: boolean;
  readonly addresses: AddressRules;
}

/** The longest URL that is stored. */
export const urlCharactersMax = 2_000;

const portBelowFree = 1_024;
/** Ports at which other protocols listen, which a request could be taken for; browsers refuse these as well. */
const portsOfOthers = new Set([
  ...[1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566],
  ...[6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211],
]);

/** Control characters and spaces, which parsers of URLs drop without a word, and backslashes, which they turn. */
// eslint-disable-next-line no-control-regex
const strangeCharacters = /[\u0000-\u0020\u007f-\u00a0\\]/;

/**
 * Says what is wrong with the URL of a webhook: `null` = nothing. What its name resolves to is not looked up: that counts
 * when something is sent, each time, and its answer would tell who asks about names in networks that only this machine sees.
 */
export function urlProblem(text: string, rules: UrlRules): string | null {
  if (text.length > urlCharactersMax) return `has more than ${urlCharactersMax} characters`;
  if (strangeCharacters.test(text)) return "contains a space, a backslash or a control character";
  const url = parseUrl(text);
  if (url === null) return "is not a URL";
  if (url.protocol !== "https:" && !(rules.allowHttp && url.protocol === "http:"))
    return rules.allowHttp ? "must begin with https:// or http://" : "must begin with https://";
  if (url.username !== "" || url.password !== "") return "contains a user or a password";
  if (url.hash !== "") return "contains a fragment (#)";
  return portProblem(url) ?? hostProblem(url, rules);
}

function portProblem({ port }: URL): string | null {
  if (port === "") return null;
  const number = Number(port);
  const isFree = number >= portBelowFree && !portsOfOthers.has(number);
  return isFree || number === 443 || number === 80
    ? null
    : `names the port ${port}, to which nothing is sent`;
}

function hostProblem(url: URL, { addresses }: UrlRules): string | null {
  const address = addressIn(url);
  if (address === null || addresses.allows(address)) return null;
  return "names an address to which nothing is sent: it is not one of the public internet";
}

/** The address that a URL names in place of a host; `null` = it names a host. URL parsing has made all forms of it one. */
export function addressIn({ hostname }: URL): string | null {
  const plain = hostname.replace(/^\[|\]$/g, "");
  if (isIP(plain) !== 0) return plain;
  // By RFC 6761 these names mean this machine, wherever a resolver would find them.
  return /(^|\.)localhost\.?$/.test(plain) ? "127.0.0.1" : null;
}
