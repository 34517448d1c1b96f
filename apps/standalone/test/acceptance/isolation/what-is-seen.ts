import { setTimeout } from "node:timers/promises";
import { type Role } from "@genga/jobs";
import { z } from "zod";
import { type Neighbours } from "./neighbours.ts";

/** One answer as far as it may tell something: what differs between any two answers is taken out. */
export interface Seen {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** After so long without a message, a live stream has told what it knew. */
const quietMs = 500;

/** Headers that tell nothing of what was asked for. */
export const changing = new Set(["date", "x-request-id", "connection", "keep-alive", "last-modified"]);

/** Asks as the curious tenant. */
export async function look(
  { url, keys }: Pick<Neighbours, "url" | "keys">,
  role: Role,
  method: string,
  path: string,
  body?: unknown,
): Promise<Seen> {
  const leaving = new AbortController();
  const ending = AbortSignal.any([AbortSignal.timeout(30_000), leaving.signal]);
  const answer = await fetch(`${url}${path}`, {
    method,
    signal: ending,
    redirect: "manual",
    headers: {
      authorization: `Bearer ${keys[role]}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const headers = Object.fromEntries([...answer.headers].filter(([name]) => !changing.has(name)));
  const isLive = answer.headers.get("content-type")?.startsWith("text/event-stream") === true;
  const text = isLive ? await beginningOf(answer) : await answer.text();
  leaving.abort();
  return {
    status: answer.status,
    headers,
    text: text.replaceAll(answer.headers.get("x-request-id") ?? "-", ""),
  };
}

/** What a live stream tells until it has been quiet for a while: what it knows from the database comes at once. */
async function beginningOf(answer: Response): Promise<string> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const chunk = await Promise.race([reader?.read(), setTimeout(quietMs)]);
    if (chunk === undefined || chunk.done) return text;
    text += chunk.value;
  }
}

/** The answer with what was asked for taken out, in whatever case: it may be repeated. */
export function without(seen: Seen, asked: string): Seen {
  const taken = (text: string): string =>
    text.split(new RegExp(asked.replaceAll(/[^\w]/g, "\\$&"), "i")).join("<asked>");
  return {
    status: seen.status,
    headers: Object.fromEntries(Object.entries(seen.headers).map(([name, value]) => [name, taken(value)])),
    text: taken(seen.text),
  };
}

/** Which of these an answer contains, beside what was asked for. */
export function leaksIn(seen: Seen, secrets: readonly string[], asked?: string): string[] {
  const told = asked === undefined ? seen : without(seen, asked);
  const text = `${told.text} ${JSON.stringify(told.headers)}`.toLowerCase();
  return secrets.filter((secret) => text.includes(secret.toLowerCase()));
}

/** Digits of ids and contents, which differ between what is there and what is not; also of names that were cut short. */
export function withoutDigits(text: string): string {
  return text
    .replaceAll(/(?:[0-9a-f]|%[0-9a-f]{2}|-)+\.\.\./gi, "#...")
    .replaceAll(/(?:[0-9a-f]|%3\d|%6[1-6]|%2d|-){8,}/gi, "#");
}

const problemsSchema = z.object({
  problems: z.array(z.object({ path: z.string(), code: z.string(), message: z.string() })),
});

/**
 * Why each of these jobs is refused, by their places; `null` = this one is not. Asked all together, in a batch that is
 * refused for its last job if for no other, so that nothing of it runs.
 */
export async function verdictsOn(neighbours: Neighbours, jobs: object[]): Promise<(string[] | null)[]> {
  const verdicts: (string[] | null)[] = [];
  for (let start = 0; start < jobs.length; start += judgedAtOnce) {
    const part = jobs.slice(start, start + judgedAtOnce);
    const batch = { jobs: [...part, { type: "image", width: 7 }] };
    const seen = await look(neighbours, "submit", "POST", "/api/anime/batches", batch);
    if (seen.status !== 422) throw new Error(`${seen.status} ${seen.text}`);
    const { problems } = problemsSchema.parse(JSON.parse(seen.text));
    if (problems.length >= 100) throw new Error("Some of the problems were left out.");
    for (const index of part.keys()) {
      const own = problems.filter(({ path }) => path.startsWith(`jobs.${index}.`));
      verdicts.push(
        own.length === 0 ? null : own.map(({ path, code, message }) => `${path} ${code} ${message}`),
      );
    }
  }
  return verdicts;
}
const judgedAtOnce = 25;
