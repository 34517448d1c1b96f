/**
 * What everybody may call a server: it stays the same as long as the server's row does, and tells nothing of its
 * address. The end of the id is its random part (RFC 9562, section 5.7).
 */
export function publicNameOf(server: { id: string }): string {
  return `server-${server.id.slice(-8)}`;
}
