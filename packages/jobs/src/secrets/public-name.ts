/**
 * The public name of a server. It stays the same as long as the server's row exists, and does not reveal the server's
 * address. It is made of the end of the id, which is random (RFC 9562, section 5.7).
 */
export function publicNameOf(server: { id: string }): string {
  return `server-${server.id.slice(-8)}`;
}
