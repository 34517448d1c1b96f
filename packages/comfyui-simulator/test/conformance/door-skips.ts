import { type RecordedCase, type Recording } from "./recordings.ts";

/** Cases that cannot be replayed through a farm, or not through one of several servers, each with the reason. */
interface Skip {
  readonly recording: RegExp;
  readonly title: RegExp;
  readonly reason: string;
  /** Only with several servers. */
  readonly ofSeveral?: true;
}

const skips: readonly Skip[] = [
  {
    recording: /^(06|47|48)-/,
    title:
      /^(targeted interrupt of a PENDING prompt|one runs, three wait|delete|clear|odd bodies|list: running|single, in each state|filters|batch cancel: one running)/,
    ofSeveral: true,
    reason: "a prompt that waits behind another one on the one server; several servers run both at once",
  },
  {
    recording: /^(10|54)-/,
    title: /^(?!socket aborted)/,
    reason: "ends or stops the one server, and shows what it has forgotten; a farm forgets nothing",
  },
  {
    recording: /^15-/,
    title: /^(?!.*(linked to a node that is not there|a cycle among))/,
    reason: "a body that ends a server or its thread, and what is left of the server then",
  },
  {
    recording: /^58-/,
    title: /without inputs|inputs is a list|client_id|extra_data|list|NaN|pnginfo|history|workflow/,
    reason: "a body that ends a server or its thread, and what is left of the server then",
  },
  {
    recording: /^13-/,
    title: /^prompt_id: (null becomes|object becomes)/,
    reason: "an id that is no text; a farm makes one, or refuses it",
  },
  {
    recording: /^13-|^49-/,
    title:
      /^(same prompt_id twice at once|resubmitting the id|the same id while|the same id when|same number and same id)/,
    reason:
      "a prompt id names one job, the newest that used it, so that a prompt that is sent again is not run twice",
  },
  {
    recording: /^(04|26|42|45|57)-/,
    title: /^(two output nodes, one invalid|two outputs, one of them broken)|two outputs, one bad/,
    reason:
      "of a graph with a valid and an invalid output a server runs the valid part; a farm refuses it (partial graphs)",
  },
  {
    recording: /^60-/,
    title: /./,
    reason:
      "a number that is none makes what a server tells everybody unreadable until its entry is deleted; the door refuses it",
  },
  {
    recording: /^23-/,
    title: /^(a server without custom nodes|how to ask beforehand)/,
    reason: "was recorded on another server, without custom nodes",
  },
  {
    recording: /^22-|^25-/,
    title: /VHS_latentpreview=true/,
    reason: "messages of custom node packs are left out of the simulator",
  },
];

export function skippedCase(
  { name }: Recording,
  { title }: RecordedCase,
  servers: number,
): string | undefined {
  return skips.find(
    (skip) => skip.recording.test(name) && skip.title.test(title) && (skip.ofSeveral !== true || servers > 1),
  )?.reason;
}
