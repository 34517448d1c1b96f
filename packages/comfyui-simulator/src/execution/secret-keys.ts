import { isDict, type PythonDict, type PythonValue } from "../python/python-values.ts";

/** Keys of `extra_data` that the server does not keep in history (PROTOCOL 2). */
const secretKeys = ["auth_token_comfy_org", "api_key_comfy_org"];

/** `extra_data` without the secrets that it may carry. */
export function withoutSecrets(extraData: PythonValue): PythonValue {
  if (!isDict(extraData) || !secretKeys.some((key) => extraData.has(key))) return extraData;
  return new Map([...extraData].filter(([key]) => !secretKeys.includes(key)));
}

/** The secrets of `extra_data` alone. */
export function secretsOf(extraData: PythonDict): PythonDict {
  return new Map([...extraData].filter(([key]) => secretKeys.includes(key)));
}
