import { type Deadline } from "./deadline.ts";
import { connectionError, GengaError } from "./genga-error.ts";
import { reasonOf } from "./pauses.ts";

/**
 * The next bytes of an answer. A connection that brings nothing for so long is cut off.
 * @returns undefined at the end
 * @throws GengaError when the connection broke or was silent, or whatever the deadline was aborted with
 */
export async function readChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  deadline: Deadline,
  silenceMaxMs: number,
): Promise<Uint8Array | undefined> {
  const { signal } = deadline;
  const endLimit = deadline.limit(silenceMaxMs, () =>
    connectionError(new Error(`nothing arrived for ${silenceMaxMs / 1_000} seconds`)),
  );
  let stop: (() => void) | undefined;
  // A read of Node 20 may wait for ever if its request is aborted just when the answer has ended.
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(reasonOf(signal));
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    const { done, value } = await Promise.race([reader.read(), aborted]);
    return done ? undefined : value;
  } catch (error) {
    if (signal.aborted) throw reasonOf(signal);
    throw error instanceof GengaError ? error : connectionError(error);
  } finally {
    endLimit();
    if (stop !== undefined) signal.removeEventListener("abort", stop);
  }
}
