import * as recordings from "@genga/comfyui-recordings";
import { z } from "zod";

import { objectInfoSchema, type ObjectInfo } from "../src/object-info.ts";

const eventSchema = z.looseObject({
  kind: z.string(),
  t: z.number(),
  text: z.string().optional(),
  n: z.number().optional(),
  method: z.string().optional(),
  path: z.string().optional(),
  body: z.unknown().optional(),
  status: z.number().optional(),
  ws: z.string().optional(),
  msg: z.unknown().optional(),
});
const transcriptSchema = z.object({ scenario: z.string(), events: z.array(eventSchema) });
export type RecordedEvent = z.infer<typeof eventSchema>;

const transcripts = new Map<string, RecordedEvent[]>();

/** One recorded session with a real server of version 0.3.64. */
export function transcript(name: string): RecordedEvent[] {
  const events =
    transcripts.get(name) ?? transcriptSchema.parse(JSON.parse(recordings.transcript("0.3.64", name))).events;
  transcripts.set(name, events);
  return events;
}

export function transcriptNames(): string[] {
  return recordings.transcriptNames("0.3.64");
}

export interface RecordedPost {
  recording: string;
  title: string;
  promptId: string;
  workflow: Record<string, { class_type: string; inputs: Record<string, unknown> }>;
  body: Record<string, unknown>;
  status: number;
  reply: Record<string, unknown>;
}

/** Every `POST /prompt` of a recording whose body was a JSON object, with the server's answer. */
export function recordedPosts(name: string): RecordedPost[] {
  const posts = new Map<number, { title: string; body: unknown }>();
  let title = "";
  return transcript(name).flatMap((event) => {
    const isFollowUp = event.kind === "note" && event.text?.startsWith("a good prompt after it") === true;
    if (event.kind === "case" || isFollowUp) title = event.text ?? "";
    if (event.n === undefined) return [];
    if (
      event.kind === "http_request" &&
      event.method === "POST" &&
      event.path?.endsWith("/prompt") === true
    ) {
      posts.set(event.n, { title, body: event.body });
    }
    const post = posts.get(event.n);
    if (event.kind !== "http_response" || post === undefined || event.status === undefined) return [];
    const body = z.record(z.string(), z.unknown()).safeParse(post.body).data;
    if (body === undefined) return [];
    const reply = z.record(z.string(), z.unknown()).catch({}).parse(event.body);
    return [
      {
        recording: name,
        title: post.title,
        promptId: typeof reply["prompt_id"] === "string" ? reply["prompt_id"] : "",
        workflow: body["prompt"] as RecordedPost["workflow"],
        body,
        status: event.status,
        reply,
      },
    ];
  });
}

/** The JSON messages about one prompt that one socket got, in their order. */
export function messagesOf(name: string, promptId: string): Record<string, unknown>[] {
  const about = transcript(name).filter(
    ({ kind, msg }) => kind === "ws_recv" && promptIdOf(msg) === promptId,
  );
  return about
    .filter(({ ws }) => ws === about[0]?.ws)
    .map(({ msg }) => z.record(z.string(), z.unknown()).parse(msg));
}

function promptIdOf(message: unknown): unknown {
  const { data } = Object(message) as { data?: unknown };
  return (Object(data) as { prompt_id?: unknown }).prompt_id;
}

/** The catalogues of the recorded servers: core nodes, AnimateDiff, VideoHelperSuite, and the recorder's own. */
export function recordedObjectInfo(
  ...names: ("core" | "animatediff" | "video-helper-suite" | "recording-nodes")[]
): ObjectInfo {
  const chosen =
    names.length > 0 ? names : (["core", "animatediff", "video-helper-suite", "recording-nodes"] as const);
  return objectInfoSchema.parse(
    Object.assign({}, ...chosen.map((name) => JSON.parse(recordings.objectInfo("0.3.64", name)) as unknown)),
  );
}

export function recordedWorkflow(name: string): unknown {
  return JSON.parse(recordings.workflow("0.3.64", name));
}
