/**
 * A `progress_state` repeats every node that has begun (about 200 bytes each), so that a graph of 300 nodes sends 60 kB
 * with every step. Messages from this size on are parsed only where no newer one replaces them (`NewestOnly`).
 */
const largeBytes = 4_096;

/** The server writes the type first, then the prompt's id, then the nodes (PROTOCOL 3), with a space after each colon. */
const opening =
  /^\{"type": ?"progress_state", ?"data": ?\{"prompt_id": ?"(?<promptId>[\w-]{1,100})", ?"nodes": ?\{/;
const openingBytesMax = 200;

/**
 * Looks at the first bytes of a text message.
 * @returns the prompt that a large `progress_state` is about; undefined for every other message, and for a
 * `progress_state` that is written in another way: such a message must be parsed to know what it is
 */
export function promptOfLargeState(data: Buffer): string | undefined {
  if (data.length < largeBytes) return undefined;
  return opening.exec(data.toString("latin1", 0, openingBytesMax))?.groups?.["promptId"];
}
