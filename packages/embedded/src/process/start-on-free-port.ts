import { EmbeddedServiceError } from "./embedded-service-error.ts";
import { canListen, freePort } from "./free-port.ts";

const attemptsMax = 5;

/**
 * Starts a server on a port: on `fixed` if that is given, else on the wished port if it is free, else on any free port.
 * If another process takes the port between the check and the start, another port is tried.
 */
export async function startOnFreePort<T>(
  ports: { readonly fixed: number | undefined; readonly wished: number | undefined },
  start: (port: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const port = ports.fixed ?? (await freePort(attempt === 1 ? ports.wished : undefined));
    try {
      return await start(port);
    } catch (error) {
      const isTaken =
        error instanceof EmbeddedServiceError && error.code === "START_FAILED" && !(await canListen(port));
      if (!isTaken || ports.fixed !== undefined || attempt === attemptsMax) throw error;
    }
  }
}
