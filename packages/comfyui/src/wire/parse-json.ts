import { ComfyUIError } from "./errors.ts";
import { parsePythonJson } from "../json/exact-json.ts";

/**
 * Reads a server's answer, which may contain bare `NaN` and `Infinity`: see `parsePythonJson`. @throws ComfyUIError
 * `bad_reply`
 */
export function parseJson(text: string, what: string): unknown {
  try {
    return parsePythonJson(text);
  } catch (error) {
    throw new ComfyUIError("bad_reply", `${what}: the answer is no JSON.`, { cause: error });
  }
}
