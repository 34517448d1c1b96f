import { type paths } from "./api-types.ts";
import { Deadline } from "./deadline.ts";
import { readChunk } from "./read-chunk.ts";
import { sendRequest, type Sending } from "./send-request.ts";

type QueryOf<Path extends keyof paths> = paths[Path] extends { get: { parameters: { query?: infer Query } } }
  ? NonNullable<Query>
  : never;

/** Which jobs' outputs a zip has, as `GET /api/anime/outputs.zip` takes it. */
export type ZipFilter = Omit<QueryOf<"/api/anime/outputs.zip">, "names">;

export interface ZipOptions {
  readonly signal?: AbortSignal | undefined;
  /** The template of the files' names, such as `{scene}/{index}-{seed}.{ext}`. */
  readonly names?: string | undefined;
}

/** A connection that brings nothing for so long counts as broken. */
const stalledMs = 60_000;

/**
 * The zip is made while it is read, so that it cannot be gone on with after a cut: then the stream fails.
 * @param of the id of a batch, or a filter
 * @throws GengaError
 */
export async function zip(
  of: string | ZipFilter,
  sending: Sending,
  { signal, names }: ZipOptions,
): Promise<ReadableStream<Uint8Array>> {
  const path = typeof of === "string" ? `batches/${encodeURIComponent(of)}/outputs.zip` : "outputs.zip";
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...(typeof of !== "string" && of), names }))
    if (value !== undefined) query.set(name, String(value));
  const deadline = new Deadline(signal);
  const close = (): void => {
    deadline.abort(new Error("The download is over."));
    deadline.end();
  };
  try {
    const { baseUrl, headers } = sending;
    const url = `${baseUrl}/api/anime/${path}?${query.toString()}`;
    const request = new Request(url, { headers, signal: deadline.signal });
    const how = { isStreamed: true, signal: deadline.signal };
    const response = await sendRequest(request, sending, how);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      try {
        const chunk = await readChunk(reader, deadline, stalledMs);
        if (chunk !== undefined) {
          controller.enqueue(chunk);
          return;
        }
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      close();
    };
    return new ReadableStream({ pull, cancel: close }, { highWaterMark: 0 });
  } catch (error) {
    close();
    throw error;
  }
}
