import { transcriptNames, type RecordedVersion } from "@genga/comfyui-recordings";
import { isDict, type PythonDict } from "../../src/python/python-values.ts";
import { dictAt, readRecording, textAt, type RecordedEvent } from "../replay/recording.ts";

/**
 * The server that a recording was made on: without any model file, with the two checkpoints and a motion module, or with
 * memory enough to keep the results of every earlier prompt.
 */
type Furnishing = "bare" | "models" | "much-memory";

export interface Recording {
  readonly version: RecordedVersion;
  readonly name: string;
  readonly furnishing: Furnishing;
}

/** Only counts were kept of one, and the other was made on a server with the assets system, which is left out. */
const recordingsLeftOut = ["56-history-timing", "52b-assets-on"];

/** Every recording that can be replayed; of two others of 0.3.64, only results were kept. */
export const recordings: readonly Recording[] = [
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
  ].map((name): Recording => ({ version: "0.3.64", name, furnishing: "bare" })),
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
  ].map((name): Recording => ({ version: "0.3.64", name, furnishing: "models" })),
  ...transcriptNames("0.28")
    .filter((name) => !recordingsLeftOut.includes(name))
    .map((name): Recording => ({ version: "0.28", name, furnishing: furnishingOf(name) })),
];

function furnishingOf(name: string): Furnishing {
  return name.startsWith("41b-") ? "much-memory" : "bare";
}

export function eventsOf(recording: Recording): RecordedEvent[] {
  return readRecording(recording.version, recording.name);
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
