import { sendRequest, type Sending } from "./send-request.ts";

/**
 * The JSON at a path, asked for once.
 * @param waitMs how long the API itself waits before it answers
 * @throws GengaError
 */
export async function readJson<Answer>(
  path: string,
  sending: Sending,
  { signal, waitMs = 0 }: { signal: AbortSignal; waitMs?: number },
): Promise<Answer> {
  const request = new Request(`${sending.baseUrl}${path}`, { headers: { ...sending.headers }, signal });
  const response = await sendRequest(request, sending, { isOnce: true, waitMs });
  return (await response.json()) as Answer;
}
