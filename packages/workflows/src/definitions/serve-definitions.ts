import { createHash } from "node:crypto";
import { type MessagePort } from "node:worker_threads";
import { packDefinitions, readAnswers, readStored, type ReadDefinitions } from "@genga/comfyui/definitions";
import { StoreUnavailableError, type ServerStore } from "@genga/jobs";
import { askedSchema, type DefinitionsReply, type DefinitionsRequest } from "./definitions-messages.ts";

type Servers = Pick<ServerStore, "saveDefinitions" | "nameDefinitions" | "findDefinitions">;

/** The work of the thread: answers every request of `DefinitionsThread` that comes through the port. */
export function serveDefinitions(port: MessagePort, servers: Servers): void {
  port.on("message", (message: unknown) => {
    const { id, request } = askedSchema.parse(message);
    void answer(request, servers)
      .catch(asFailure)
      .then((reply) => {
        const moved =
          reply.kind === "definitions" && reply.packed !== null ? [reply.packed.texts.buffer] : [];
        port.postMessage({ id, reply }, moved);
      });
  });
}

async function answer(request: DefinitionsRequest, servers: Servers): Promise<DefinitionsReply> {
  if (request.kind === "find") {
    const stored = await servers.findDefinitions(request.hash);
    return stored === null ? { kind: "none" } : definitions(request.hash, readStored(stored), []);
  }
  if (request.kind === "name") {
    const outcome = await servers.nameDefinitions(request.lease, request.hash);
    return { kind: outcome === "not-held" ? "none" : outcome };
  }
  const decoder = new TextDecoder();
  const read = readAnswers({
    objectInfo: decoder.decode(request.objectInfo),
    replacements: request.replacements === null ? null : decoder.decode(request.replacements),
  });
  const hash = hashOf(read);
  if (hash !== request.storedHash) {
    if (!(await servers.saveDefinitions(request.lease, { hash, ...read }))) return { kind: "none" };
  }
  return definitions(hash, read, request.known);
}

function definitions(hash: string, read: ReadDefinitions, known: readonly string[]): DefinitionsReply {
  return { kind: "definitions", hash, packed: known.includes(hash) ? null : packDefinitions(read) };
}

/** Equal for servers with the same nodes, models and replacements. */
function hashOf({ objectInfo, replacements }: ReadDefinitions): string {
  return createHash("sha256")
    .update(JSON.stringify(objectInfo))
    .update(replacements === null ? "" : JSON.stringify(replacements))
    .digest("hex");
}

function asFailure(error: unknown): DefinitionsReply {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof StoreUnavailableError)) return { kind: "failed", message };
  const { fault, wasRefused } = error;
  return { kind: "unavailable", message, fault, wasRefused };
}
