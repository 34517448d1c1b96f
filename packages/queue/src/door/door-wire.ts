import { type DoorMessage, type DoorNote } from "@genga/jobs";
import { z } from "zod";

const id = z.string().min(1).max(64);
const of = { jobId: id, attempt: z.int(), serverPromptId: id };
const nodeId = z.string();

/** What travels over Redis. It is checked on arrival, because another version of Genga may have sent it. */
const sentSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("text"),
    ...of,
    type: z.string(),
    node: nodeId.nullable().optional(),
    json: z.string(),
  }),
  z.object({ kind: z.literal("made-files"), ...of, node: nodeId, displayNode: nodeId.nullable() }),
  z.object({ kind: z.literal("frame"), ...of, base64: z.base64() }),
  z.object({ kind: z.literal("ended"), ...of }),
  z.object({ kind: z.literal("opened"), clientId: z.string(), socketId: id, openedAt: z.number() }),
  z.object({ kind: z.literal("queue"), addedBy: z.string().optional() }),
  z.object({ kind: z.literal("read"), clientId: z.string(), jobId: id }),
]);

export type ReadItem = { message: DoorMessage } | { note: DoorNote };

export function textOfMessage(message: DoorMessage): string {
  if (message.kind !== "frame") return JSON.stringify(message);
  const { frame, ...rest } = message;
  const base64 = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("base64");
  return JSON.stringify({ ...rest, base64 });
}

/** Several messages are sent as one list. What cannot be read is left out. */
export function readItems(text: string): ReadItem[] {
  const items = parseJson(text);
  return Array.isArray(items) ? items.flatMap((item: unknown) => readItem(item) ?? []) : [];
}

function readItem(item: unknown): ReadItem | undefined {
  const sent = sentSchema.safeParse(item).data;
  switch (sent?.kind) {
    case undefined:
      return undefined;
    case "opened":
    case "queue":
    case "read":
      return { note: sent };
    case "frame": {
      const { base64, ...rest } = sent;
      return { message: { ...rest, frame: Buffer.from(base64, "base64") } };
    }
    case "made-files":
    case "ended":
      return { message: sent };
    case "text": {
      const { node, ...rest } = sent;
      return { message: { ...rest, ...(node !== undefined && { node }) } };
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
