import { GengaClient, type GengaError } from "@genga/client";

/** The address of the page's own installation, without a slash at its end; behind a proxy it may have a path. */
export const baseUrl = new URL(".", document.baseURI).href.replace(/\/$/, "");

/** Writes by a session need this header, which no form of another site can send. */
export const pageHeaders = { "X-Genga-Page": "1" } as const;

/**
 * The client that all views use. Requests carry the cookie of the session; the API key is kept nowhere in the browser.
 * A person waits for the answer, so it gives up earlier than a program would.
 */
export const genga = new GengaClient({
  ...{ baseUrl, headers: pageHeaders },
  fetch: (request, init) => {
    const answer = fetch(request, init);
    if (new URL(request.url).pathname.endsWith("/api/anime/events")) {
      answer.then(
        ({ ok }) => tellStream(ok),
        () => tellStream(false),
      );
    }
    return answer;
  },
  retries: { attemptsMax: 3 },
  answerMs: 30_000,
});

type StreamListener = (isOpen: boolean) => void;
const streamListeners = new Set<StreamListener>();

/** Told when a stream was opened, and when that failed: the client opens a broken one again by itself, and says nothing. */
export function onStream(listener: StreamListener): () => void {
  streamListeners.add(listener);
  return () => {
    streamListeners.delete(listener);
  };
}

function tellStream(isOpen: boolean): void {
  for (const listener of streamListeners) listener(isOpen);
}

/** What `genga.http` returns; it throws where the API refuses. */
export async function dataOf<Data>(answer: Promise<{ data?: Data }>): Promise<NonNullable<Data>> {
  const { data } = await answer;
  if (data === undefined || data === null) throw new Error("The API answered without content.");
  return data;
}

/** An address of an answer, as one below this page's own address, so that a proxy's name does not matter. */
export function localUrl(link: string): string {
  const { pathname, search } = new URL(link, `${baseUrl}/`);
  const path = pathname.slice(Math.max(0, pathname.indexOf("/api/anime/")));
  return `${baseUrl}${path}${search}`;
}

/** Whether the session, or the key that it was made with, does not work any more. */
export function isSignedOut(error: unknown): boolean {
  return (error as Partial<GengaError> | null)?.status === 401;
}
