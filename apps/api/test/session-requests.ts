import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { expect } from "@jest/globals";

export const operator = "key-that-operates";
export const artist = "key-that-submits";
export const times = { keys: { rememberMs: 20, checkEveryMs: 20 }, streamKeysEveryMs: 20 };
export const configured = `studio:operate:${operator},studio:submit:${artist}`;
export const as = (key: string): Record<string, string> => ({ "x-api-key": key });

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: Record<string, unknown>;
}

/** Sends any header, also those that `fetch` sets itself. */
export async function send(
  url: string,
  {
    method = "GET",
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        const isJson = (response.headers["content-type"] ?? "").includes("json");
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
        });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** What our own page sends at this API. */
export const pageOf = (url: string, cookie: string): Record<string, string> => ({
  ...{ cookie, origin: new URL(url).origin, "x-genga-page": "1", "sec-fetch-site": "same-origin" },
  "content-type": "application/json",
});
export const api = (url: string, path: string): string => new URL(`/api/anime/${path}`, url).href;

export function signIn(url: string, apiKey: string, headers: Record<string, string> = {}): Promise<Answer> {
  return send(api(url, "session"), {
    method: "POST",
    headers: { "content-type": "application/json", origin: new URL(url).origin, ...headers },
    body: JSON.stringify({ apiKey }),
  });
}

/** Signs in, and returns the cookie as a browser sends it back. */
export async function cookieOf(url: string, apiKey: string): Promise<string> {
  const answer = await signIn(url, apiKey);
  expect(answer.status).toBe(201);
  return answer.headers["set-cookie"]![0]!.split(";")[0]!;
}
