/**
 * Gets everything that a server sends about one prompt, as it was sent and in that order; of the greeting after a reconnect, which
 * names no prompt, nothing. Its methods must neither throw nor wait.
 */
export interface PromptRelay {
  /** A message as JSON text; Python may have written a bare `NaN` into it. */
  text(json: string): void;
  /** A binary message; `parseBinaryFrame` reads it. */
  frame(frame: Buffer): void;
}
