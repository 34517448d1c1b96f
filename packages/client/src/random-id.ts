/** 128 random bits. (`crypto.randomUUID` is not there for pages that came over plain HTTP.) */
export function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
