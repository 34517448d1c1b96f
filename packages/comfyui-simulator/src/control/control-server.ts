import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { z } from "zod";
import { type ExecutionLog } from "./execution-log.ts";
import { faultSchema, type Fault } from "./fault.ts";

interface ControlTarget {
  readonly log: ExecutionLog;
  readonly state: () => Readonly<Record<string, unknown>>;
  readonly fault: (fault: Fault) => Promise<void>;
  readonly clearFaults: () => void;
}

const bodyBytesMax = 64 * 1024;

/**
 * The control interface, on a port of its own: `GET /executions`, `GET /state`, `POST /faults`, `DELETE /faults`. It
 * stays reachable while the simulated server is frozen or down.
 */
export class ControlServer {
  readonly #server: Server;
  readonly #target: ControlTarget;

  constructor(target: ControlTarget) {
    this.#target = target;
    this.#server = createServer((request, response) => {
      void this.#answer(request, response);
    });
  }

  async start(port: number, host: string): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    const address = this.#server.address();
    return address !== null && typeof address === "object" ? address.port : port;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await this.#reply(request).catch((error: unknown) => ({
      status: 400,
      body: { error: error instanceof z.ZodError ? z.prettifyError(error) : String(error) },
    }));
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  }

  async #reply(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    switch (`${request.method ?? ""} ${request.url ?? ""}`) {
      case "GET /executions":
        return { status: 200, body: { executions: this.#target.log.records() } };
      case "GET /state":
        return { status: 200, body: this.#target.state() };
      case "POST /faults": {
        const fault = faultSchema.parse(JSON.parse(await textOf(request)));
        await this.#target.fault(fault);
        return { status: 200, body: { applied: fault } };
      }
      case "DELETE /faults":
        this.#target.clearFaults();
        return { status: 200, body: {} };
      default:
        return { status: 404, body: { error: "no such control" } };
    }
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > bodyBytesMax) throw new RangeError("the body is too large");
  }
  return text;
}
