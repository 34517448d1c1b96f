import { createParser, type EventSourceMessage } from "eventsource-parser";

/** An event stream as a client reads it, one message at a time. */
export interface EventReader {
  readonly response: Response;
  /** The next message; `undefined` once the stream has ended. */
  next(): Promise<ReadEvent | undefined>;
  /** All messages up to the end. */
  rest(): Promise<ReadEvent[]>;
  close(): void;
  comments: string[];
  /** How long the client shall wait before it reconnects, as the server said last. */
  readonly retryMs: number | undefined;
}

export interface ReadEvent {
  event: string;
  id: string | undefined;
  data: Record<string, unknown>;
}

export async function openEvents(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
  const closing = new AbortController();
  const response = await fetch(url, { headers, signal: closing.signal });
  const waiting: EventSourceMessage[] = [];
  const comments: string[] = [];
  let retryMs: number | undefined;
  const parser = createParser({
    onEvent: (event) => waiting.push(event),
    onComment: (comment) => comments.push(comment),
    onRetry: (ms) => {
      retryMs = ms;
    },
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const next = async (): Promise<ReadEvent | undefined> => {
    while (waiting.length === 0) {
      const chunk = await reader?.read();
      if (chunk === undefined || chunk.done) return undefined;
      parser.feed(chunk.value);
    }
    const { event, id, data } = waiting.shift()!;
    return { event: event ?? "message", id, data: JSON.parse(data) as Record<string, unknown> };
  };
  return {
    response,
    next,
    comments,
    get retryMs() {
      return retryMs;
    },
    rest: async () => {
      const all: ReadEvent[] = [];
      for (let event = await next(); event !== undefined; event = await next()) all.push(event);
      return all;
    },
    close: () => {
      closing.abort();
    },
  };
}
