import { createServer, type Server } from "node:http";
import { Webhook } from "standardwebhooks";

/** What a message says; `data` depends on its type. */
export interface Message {
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

/**
 * A server that receives webhooks: it verifies each message, answers, and hands on those that it has not had before.
 * @param secret `whsec_…`, as the API showed it
 */
export function createReceiver(secret: string, onMessage: (message: Message, id: string) => void): Server {
  const webhook = new Webhook(secret);
  // Keep these ids where they survive a restart, for a day at least.
  const seen = new Set<string>();
  return createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      );
      let message: Message;
      try {
        // The bytes as they came: JSON that was parsed and written again is another text.
        message = webhook.verify(Buffer.concat(parts).toString(), headers) as Message;
      } catch {
        response.writeHead(401).end();
        return;
      }
      // Answer first, and work afterwards.
      response.writeHead(204).end();
      const id = headers["webhook-id"] ?? "";
      if (seen.has(id)) return;
      seen.add(id);
      onMessage(message, id);
    });
  });
}
