import { type CommandContext } from "../command-context.ts";
import { openProgressView } from "./show-progress.ts";
import { type State } from "./states.ts";

/**
 * Waits until all of these jobs and batches have ended, and shows how far they are.
 * @throws GengaError if one does not exist  @throws DOMException `TimeoutError`
 */
export async function follow(
  ids: readonly string[],
  { client, terminal, signal }: CommandContext,
  timeoutMs: number | undefined,
): Promise<readonly State[]> {
  const view = openProgressView(terminal);
  const leaving = new AbortController();
  const waits = ids.map((id) =>
    client.waitFor(id, {
      signal: AbortSignal.any([signal, leaving.signal]),
      timeoutMs,
      onProgress: (state) => {
        view.show(state);
      },
    }),
  );
  try {
    return await Promise.all(waits);
  } catch (error) {
    // One that does not exist ends the watch of the others.
    leaving.abort(error);
    await Promise.allSettled(waits);
    throw error;
  } finally {
    view.close();
  }
}
