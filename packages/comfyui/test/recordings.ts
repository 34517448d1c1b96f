import * as recordings from "@genga/comfyui-recordings";
import { z } from "zod";

import { numberOf, parseExactJson } from "../src/json/exact-json.ts";
import { objectInfoSchema, type ObjectInfo } from "../src/classes/object-info.ts";

const eventSchema = z.looseObject({
  kind: z.string(),
  t: z.preprocess((time) => numberOf(time) ?? time, z.number()),
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

type Version = recordings.RecordedVersion;

/** One recorded session with a real server. */
export function transcript(name: string, version: Version = "0.3.64"): RecordedEvent[] {
  return read(name, version, JSON.parse);
}

function read(name: string, version: Version, parse: (text: string) => unknown): RecordedEvent[] {
  const key = `${version} ${name} ${parse.name}`;
  const events =
    transcripts.get(key) ?? transcriptSchema.parse(parse(recordings.transcript(version, name))).events;
  transcripts.set(key, events);
  return events;
}

export function transcriptNames(version: Version = "0.3.64"): string[] {
  return recordings.transcriptNames(version);
}

export interface RecordedPost {
  version: Version;
  recording: string;
  title: string;
  /** 1 for the first post of its title. */
  ordinal: number;
  promptId: string;
  workflow: Record<string, { class_type: string; inputs: Record<string, unknown> }>;
  body: Record<string, unknown>;
  status: number;
  reply: Record<string, unknown>;
}

/** Every `POST /prompt` of a recording whose body was a JSON object, with the server's answer; numbers as written. */
export function recordedPosts(name: string, version: Version = "0.3.64"): RecordedPost[] {
  const posts = new Map<number, { title: string; body: unknown }>();
  const ordinals = new Map<string, number>();
  let title = "";
  return read(name, version, parseExactJson).flatMap((event) => {
    const isFollowUp =
      event.kind === "note" && /^(a good prompt after it|is it alive)/.test(event.text ?? "");
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
    const ordinal = (ordinals.get(post.title) ?? 0) + 1;
    ordinals.set(post.title, ordinal);
    return [
      {
        version,
        ordinal,
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
export function messagesOf(
  name: string,
  promptId: string,
  version: Version = "0.3.64",
): Record<string, unknown>[] {
  const about = transcript(name, version).filter(
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

/** The catalogues of the recorded server of 0.28: core nodes, partner nodes, and the recorder's own. */
export function recordedObjectInfo028(): ObjectInfo {
  return objectInfoSchema.parse(
    Object.assign(
      {},
      ...recordings
        .objectInfoNames("0.28")
        .map((name) => parseExactJson(recordings.objectInfo("0.28", name))),
    ),
  );
}

/** The catalogues of the recorded servers: core nodes, AnimateDiff, VideoHelperSuite, and the recorder's own. */
export function recordedObjectInfo(
  ...names: ("core" | "animatediff" | "video-helper-suite" | "recording-nodes")[]
): ObjectInfo {
  const chosen =
    names.length > 0 ? names : (["core", "animatediff", "video-helper-suite", "recording-nodes"] as const);
  return objectInfoSchema.parse(
    Object.assign({}, ...chosen.map((name) => parseExactJson(recordings.objectInfo("0.3.64", name)))),
  );
}

export function recordedWorkflow(name: string): unknown {
  return parseExactJson(recordings.workflow("0.3.64", name));
}
