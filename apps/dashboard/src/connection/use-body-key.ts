import { useCallback, useRef } from "react";

/**
 * The Idempotency-Key of a body, for as long as it stays the same: if an answer was lost, or the button is pressed again
 * before the view has changed, the same body again is the same submission.
 */
export function useBodyKey(): (text: string) => string {
  const last = useRef<{ text: string; key: string } | undefined>(undefined);
  return useCallback((text) => {
    if (last.current?.text !== text) last.current = { text, key: randomKey() };
    return last.current.key;
  }, []);
}

/** Not `randomUUID`, which pages have only over https. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
