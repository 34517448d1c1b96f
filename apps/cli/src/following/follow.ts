import { type CommandContext } from "../command-context.ts";
import { openProgressView } from "./show-progress.ts";
import { type State } from "./states.ts";
import { thingsOf } from "./things.ts";

/**
 * Waits until all of these jobs and batches have ended, and shows how far they are. An API that is away at first is an error; once they
 * are watched, they are watched across cuts.
 * @throws GengaError if one does not exist  @throws DOMException `TimeoutError`
 */
export async function follow(
  ids: readonly string[],
  context: CommandContext,
  timeoutMs: number | undefined,
): Promise<readonly State[]> {
  const { client, terminal, signal } = context;
  const things = await thingsOf(ids, context);
  const view = openProgressView(terminal);
  const leaving = new AbortController();
  // Nobody reads the states any more.
  const leave = (): void => {
    leaving.abort(new Error("standard output was closed"));
  };
  if (terminal.isJson) terminal.out.once("error", leave);
  const waits = things.map((thing) =>
    client.waitFor(thing.id, {
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
    // One that was removed ends the watch of the others.
    leaving.abort(error);
    await Promise.allSettled(waits);
    throw error;
  } finally {
    terminal.out.off("error", leave);
    view.close();
  }
}
