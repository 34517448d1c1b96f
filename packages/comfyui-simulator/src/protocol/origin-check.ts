/**
 * The server's guard against web pages that post to a local server: with a loopback `Host`, an `Origin` must name the
 * same host and port (PROTOCOL 1). Requests without an `Origin` always pass.
 */
export function isForeignOrigin(host: string | undefined, origin: string | undefined): boolean {
  if (host === undefined || origin === undefined) return false;
  const authority = /^(?:[a-z][a-z0-9+.-]*:)?\/\/([^/?#]*)/i.exec(origin)?.[1] ?? "";
  const [target, source] = [splitHost(host), splitHost(authority)];
  if (!isLoopback(target.name) || target.name === "" || source.name === "") return false;
  if (source.port === "" || target.port === "") return target.name !== source.name;
  return target.name !== source.name || target.port !== source.port;
}

function splitHost(text: string): { name: string; port: string } {
  const authority = (text.split("/")[0] ?? "").toLowerCase();
  const found = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(authority);
  return { name: (found?.[1] ?? "").replace(/^\[|\]$/g, ""), port: found?.[2] ?? "" };
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name === "::1" || /^127(\.\d+){3}$/.test(name);
}
