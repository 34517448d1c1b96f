import { expect, test } from "@jest/globals";
import { type DoorMessage, type NewOutput, type UnnamedDoorFile } from "@genga/jobs";
import { storedReferences } from "../files/store-outputs.ts";
import { doorEntryOf } from "./door-entry.ts";
import { DoorRelay } from "./door-relay.ts";
import { NamedOutputs } from "./named-outputs.ts";

const leased = { jobId: "job", attempt: 2, promptId: "prompt", job: { tenantId: "tenant" } };
const shownEntryText = (text: string): string => text.replaceAll("secret", "***");
const run = { leased, shownEntryText };

function aRelay({ isHeard = true } = {}): {
  relay: DoorRelay;
  sent: DoorMessage[];
  say: (type: string, data: object) => void;
} {
  const sent: DoorMessage[] = [];
  const publish = (_tenantId: string, message: DoorMessage): void => {
    sent.push(message);
  };
  const relay = new DoorRelay(run, { publish, isHeard: () => isHeard });
  const say = (type: string, data: object): void => {
    relay.text(JSON.stringify({ type, data: { prompt_id: "prompt", ...data } }));
  };
  return { relay, sent, say };
}

const kindsOf = (sent: readonly DoorMessage[]): string[] =>
  sent.map((message) => (message.kind === "text" ? message.type : message.kind));

test("passes on what is said of a prompt as it is written, and only hints at its end", () => {
  const { relay, sent, say } = aRelay();
  const state = '{"type": "progress_state", "data": {"prompt_id": "prompt", "nodes": {"1": {"value": 0.0}}}}';
  say("execution_start", {});
  relay.text(state);
  say("executed", { node: "1", output: { text: ["a secret"] } });
  say("executed", { node: "2", output: { images: [{ filename: "x.png" }] } });
  say("execution_success", {});
  say("executing", { node: null });
  expect(kindsOf(sent)).toEqual(["execution_start", "progress_state", "executed", "made-files", "ended"]);
  expect(sent[1]).toMatchObject({ jobId: "job", attempt: 2, serverPromptId: "prompt", json: state });
  expect(sent[2]).toMatchObject({ node: "1", json: expect.stringContaining('"a ***"') as unknown });
});

test("passes on an error only if the prompt goes on", () => {
  const blocked = aRelay();
  blocked.say("execution_error", { exception_message: "secret" });
  blocked.say("executing", { node: "2" });
  expect(kindsOf(blocked.sent)).toEqual(["execution_error", "executing"]);
  expect(JSON.stringify(blocked.sent)).not.toContain("secret");
  const failed = aRelay();
  failed.say("execution_error", { exception_message: "secret" });
  failed.say("executing", { node: null });
  expect(kindsOf(failed.sent)).toEqual(["ended"]);
});

test("passes on pictures only while somebody listens, and texts of nodes without secrets", () => {
  const picture = Buffer.from("0000000100000001ffd8ffe0", "hex");
  const unheard = aRelay({ isHeard: false });
  unheard.relay.frame(picture);
  expect(unheard.sent).toEqual([]);
  const heard = aRelay();
  heard.relay.frame(picture);
  heard.relay.frame(Buffer.concat([Buffer.from("000000030000000131", "hex"), Buffer.from("a secret")]));
  const shown = Buffer.concat([Buffer.from("000000030000000131", "hex"), Buffer.from("a ***")]);
  const frames = heard.sent.map(
    (message) => message.kind === "frame" && Buffer.from(message.frame).toString("hex"),
  );
  expect(frames).toEqual([picture.toString("hex"), shown.toString("hex")]);
});

const finished = (entry: string, outputs: Record<string, unknown>) => ({
  state: "finished" as const,
  executedMs: 1,
  history: { outputs, status: null, reply: `{"prompt": ${entry}}` },
});

const door = { promptId: 'a "name"', socketNodes: ["7"] };
const none = NamedOutputs.none();

test("names prompt and files as the client knows them, and leaves out pictures that went to its socket", async () => {
  const outputs = {
    3: {
      images: [{ filename: "secret-b_00001_.png", subfolder: "genga", type: "output" }],
      animated: [true],
    },
    7: { images: [{ filename: "c.png", subfolder: "", type: "output" }] },
  };
  const messages = [["execution_start", { prompt_id: "prompt" }]];
  const lookup = finished(JSON.stringify({ outputs, status: { messages }, meta: {} }), outputs);
  const references = storedReferences(lookup.history, { keepPreviews: true });
  const stored = references.map((reference, index): NewOutput => ({
    ...{
      nodeId: reference.nodeId,
      key: reference.key,
      index,
      kind: "file",
      filename: `b_0000${index + 1}_.png`,
    },
    ...{ mediaType: "image/png", bytes: 1, sha256: "", width: 1, height: 1, durationMs: null },
    ...{ storageKey: "key", text: null },
  }));
  const graph = { 3: { class_type: "SaveImage", inputs: { filename_prefix: "folder/b" } } };
  const asked: UnnamedDoorFile[] = [];
  const names = await NamedOutputs.of(
    references,
    stored,
    { workflow: graph, socketNodes: ["7"] },
    (files) => {
      asked.push(...files);
      return Promise.resolve(
        new Map(
          files.map(({ source }) => [source, { type: "output", subfolder: "folder", name: "b_00007_.png" }]),
        ),
      );
    },
  );
  expect(asked).toMatchObject([{ type: "output", subfolder: "folder", stem: "b", ending: "_.png" }]);
  expect(JSON.parse(doorEntryOf(run, door, lookup, names) ?? "")).toEqual({
    outputs: {
      3: { images: [{ filename: "b_00007_.png", subfolder: "folder", type: "output" }], animated: [true] },
    },
    status: { messages: [["execution_start", { prompt_id: 'a "name"' }]] },
    meta: {},
  });
});

test("keeps what the history says of a prompt as it is written, without its graph", () => {
  const entry =
    '{"prompt": [1, "prompt", {}], "outputs": {"9": {"fps": [8.0, NaN], "text": ["a secret"]}}, "status": {"completed": true}, "meta": {}}';
  expect(doorEntryOf(run, door, finished(entry, {}), none)).toBe(
    '{"outputs":{"9":{"fps":[8.0,NaN],"text":["a ***"]}},"status":{"completed": true},"meta":{}}',
  );
});

test("leaves out files of a prompt without a result, which are not stored", () => {
  const outputs = { 3: { images: [{ filename: "x.png" }] }, 4: { text: ["t"] } };
  const entry = JSON.stringify({ outputs, status: {}, meta: {} });
  const lookup = { ...finished(entry, outputs), state: "interrupted" as const, report: undefined };
  expect(doorEntryOf(run, door, lookup, none)).toBe('{"outputs":{"4":{"text":["t"]}},"status":{},"meta":{}}');
});

test("cuts long texts of an entry that would be too large", () => {
  const texts = Array.from({ length: 20 }, () => "long ".repeat(40_000));
  const entry = JSON.stringify({ outputs: { 4: { text: texts } }, status: { completed: true }, meta: {} });
  const kept = doorEntryOf(run, door, finished(entry, {}), none) ?? "";
  expect(kept.length).toBeLessThan(100_000);
  expect(JSON.parse(kept)).toMatchObject({ status: { completed: true } });
});

test("of a status that is too large, the first message and the last one are kept, with what is short in them", () => {
  const inputs = Object.fromEntries(
    Array.from({ length: 1_000 }, (_unused, index) => [index, "y".repeat(1_500)]),
  );
  const error = {
    ...{ prompt_id: "prompt", node_id: "4", exception_message: "no memory\n", exception_type: "OutOfMemory" },
    ...{ traceback: ["line 1"], current_inputs: inputs },
  };
  const messages = [
    ["execution_start", { prompt_id: "prompt" }],
    ["execution_cached", { nodes: [], prompt_id: "prompt" }],
    ["execution_error", error],
  ];
  const status = { status_str: "error", completed: false, messages };
  const entry = JSON.stringify({ outputs: {}, status, meta: {} });
  const kept = doorEntryOf(run, door, finished(entry, {}), none) ?? "";
  const about = { prompt_id: 'a "name"' };
  expect(JSON.parse(kept)).toEqual({
    outputs: {},
    status: {
      ...{ status_str: "error", completed: false },
      messages: [
        ["execution_start", about],
        ["execution_error", { ...error, ...about, current_inputs: {} }],
      ],
    },
    meta: {},
  });
});
