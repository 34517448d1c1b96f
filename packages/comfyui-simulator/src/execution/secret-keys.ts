import { isDict, type PythonValue } from "../python/python-values.ts";

/** Keys of `extra_data` that the server does not keep in history (PROTOCOL 2). */
const SECRET_KEYS = ["auth_token_comfy_org", "api_key_comfy_org"];

/** `extra_data` without the secrets that it may carry. */
export function withoutSecrets(extraData: PythonValue): PythonValue {
  if (!isDict(extraData) || !SECRET_KEYS.some((key) => extraData.has(key))) return extraData;
  return new Map([...extraData].filter(([key]) => !SECRET_KEYS.includes(key)));
}
