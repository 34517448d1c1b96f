import { randomUUID } from "node:crypto";
import { type IncomingMessage } from "node:http";
import { type Duplex } from "node:stream";
import { type DoorMessageTaker, type DoorPrompt, type Principal } from "@genga/jobs";
import { type Gauge } from "prom-client";
import { WebSocketServer } from "ws";
import { type Credential } from "../../access/credentials.ts";
import { type KeyWatch } from "../../access/key-watch.ts";
import { ClientSocket } from "./client-socket.ts";
import { SocketMemory } from "./socket-memory.ts";
import { TenantDoor, type TenantDoorParts } from "./tenant-door.ts";

export interface DoorSocketsParts extends TenantDoorParts {
  /** What the door says of its features, as JSON text. */
  features: string;
  keyWatch: Pick<KeyWatch, "watch">;
  /** How many sockets are open. */
  openSockets: Pick<Gauge, "inc" | "dec">;
  messages: DoorMessageTaker;
}

/** Larger messages from a client close its socket with 1009, as a server does. */
const messageBytesMax = 4 * 1024 * 1024;
const clientIdMax = 1_000;
const socketsMax = 2_000;
const socketsOfTenantMax = 500;
/** A tenant without sockets is remembered for so long: a client whose connection broke comes back soon. */
const lingerMs = 10_000;

interface Tenant {
  door: TenantDoor;
  sockets: Set<ClientSocket>;
  lingering?: NodeJS.Timeout;
}

/** The door's WebSockets in this process. A tenant costs something only while one of its clients has a socket here, and shortly after. */
export class DoorSockets {
  readonly #parts: DoorSocketsParts;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
  });
  readonly #tenants = new Map<string, Tenant>();
  readonly #memory = new SocketMemory();
  #isClosed = false;

  constructor(parts: DoorSocketsParts) {
    this.#parts = parts;
  }

  /** How many clients are connected. */
  get count(): number {
    return this.#server.clients.size;
  }

  /** Takes over the connection of a request that was let in. */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    { principal, credential }: { principal: Principal; credential: Credential },
  ): void {
    const said = new URL(request.url ?? "/", "http://door").searchParams.get("clientId") ?? "";
    const tenantId = principal.tenant.id;
    // PostgreSQL has no texts with NUL.
    if (said.length > clientIdMax || said.includes("\0")) {
      refuse(socket, "400 Bad Request");
      return;
    }
    const ofTenant = this.#tenants.get(tenantId)?.sockets.size ?? 0;
    if (this.#isClosed || this.count >= socketsMax || ofTenant >= socketsOfTenantMax) {
      refuse(socket, "503 Service Unavailable");
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const clientId = said === "" ? randomUUID().replaceAll("-", "") : said;
      const tenant = this.#tenantOf(tenantId);
      const endWatch = this.#parts.keyWatch.watch(credential, () => {
        client.close(1008, "The key does not work any more.");
      });
      const client = new ClientSocket(webSocket, {
        ...{
          connection: socket,
          clientId,
          keyName: principal.keyName,
          features: this.#parts.features,
          memory: this.#memory,
        },
        onClose: () => {
          endWatch();
          this.#parts.openSockets.dec();
          this.#leave(tenantId, tenant, client);
        },
      });
      this.#parts.openSockets.inc();
      tenant.sockets.add(client);
      tenant.door.add(client);
    });
  }

  /** Tells clients, through all processes, that prompts have come or were removed. */
  noteQueue(tenantId: string, addedBy?: string): void {
    this.#parts.messages.note(tenantId, { kind: "queue", ...(addedBy !== undefined && { addedBy }) });
  }

  /** Tells all processes that a client was shown the end of its prompt. */
  noteRead({ tenantId, clientId, jobId }: DoorPrompt): void {
    if (clientId !== null) this.#parts.messages.note(tenantId, { kind: "read", clientId, jobId });
  }

  /** Cuts the connections. Clients come back to another process, or to the next one here, and are told what they have missed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const doors = [...this.#tenants.values()].map(({ door, lingering }) => {
      clearTimeout(lingering);
      return door;
    });
    for (const socket of this.#server.clients) socket.terminate();
    await Promise.all(doors.map((door) => door.close()));
    await this.#parts.messages.close();
  }

  #tenantOf(tenantId: string): Tenant {
    const known = this.#tenants.get(tenantId);
    if (known !== undefined) {
      clearTimeout(known.lingering);
      return known;
    }
    const tenant: Tenant = { door: new TenantDoor(tenantId, this.#parts), sockets: new Set() };
    this.#tenants.set(tenantId, tenant);
    return tenant;
  }

  #leave(tenantId: string, tenant: Tenant, client: ClientSocket): void {
    tenant.door.remove(client);
    tenant.sockets.delete(client);
    if (tenant.sockets.size > 0 || this.#isClosed) return;
    clearTimeout(tenant.lingering);
    tenant.lingering = setTimeout(() => {
      this.#tenants.delete(tenantId);
      void tenant.door.close();
    }, lingerMs).unref();
  }
}

function refuse(socket: Duplex, status: string): void {
  // A client that resets the connection meanwhile must not end the process.
  socket.on("error", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
