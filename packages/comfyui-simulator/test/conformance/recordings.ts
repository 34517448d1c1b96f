import { isDict, type PythonDict } from "../../src/python/python-values.ts";
import { dictAt, readRecording, textAt, type RecordedEvent } from "../replay/recording.ts";

/** The server that a recording was made on: without any model file, or with the two checkpoints and a motion module. */
type Furnishing = "bare" | "models";

export interface Recording {
  readonly name: string;
  readonly furnishing: Furnishing;
}

/** Every recording that can be replayed; of two others, only results were kept. */
export const RECORDINGS: readonly Recording[] = [
  ...[
    "01-connect",
    "02-success",
    "03-cached",
    "04-validation",
    "05-execution-error",
    "06-interrupt",
    "08-progress-previews",
    "09-two-clients",
    "10-drop-and-kill",
    "11-outputs",
    "12-http-api",
    "13-prompt-options",
    "15-poison-prompts",
    "18-stale-socket",
  ].map((name): Recording => ({ name, furnishing: "bare" })),
  ...[
    "20-sd15-image",
    "21-sd15-image-cached-model",
    "22-animatediff-video",
    "23-seed-video-graph-rejected",
    "24-core-video",
    "25-vhs-video",
    "26-missing-checkpoint",
    "28-oom",
    "29-image-variants",
  ].map((name): Recording => ({ name, furnishing: "models" })),
];

export function eventsOf(recording: Recording): RecordedEvent[] {
  return readRecording("0.3.64", recording.name);
}

/** What a case asks of the server. */
export interface RecordedCase {
  readonly title: string;
  /** Classes and file names of the graphs that were sent. */
  readonly nodes: readonly PythonDict[];
  /** Classes in graphs that the recorded server ran. */
  readonly ranClasses: ReadonlySet<string>;
}

export function casesOf(events: readonly RecordedEvent[]): RecordedCase[] {
  const cases: { title: string; nodes: PythonDict[]; ranClasses: Set<string> }[] = [];
  const graphs = new Map<number, PythonDict[]>();
  for (const { kind, fields } of events) {
    if (kind === "case") cases.push({ title: textAt(fields, "text"), nodes: [], ranClasses: new Set() });
    const current = cases.at(-1);
    if (!current) continue;
    const number = Number(fields.get("n"));
    if (kind === "http_request") {
      const nodes = [...dictAt(dictAt(fields, "body"), "prompt").values()].filter(isDict);
      graphs.set(number, nodes);
      current.nodes.push(...nodes);
    } else if (kind === "http_response" && fields.get("status") === 200) {
      for (const node of graphs.get(number) ?? []) current.ranClasses.add(textAt(node, "class_type"));
    }
  }
  return cases;
}

/** The last cases of one recording were made on a server without node packs. */
export function isWithoutCustomNodes(title: string): boolean {
  return title.startsWith("a server without custom nodes") || title.startsWith("how to ask beforehand");
}
