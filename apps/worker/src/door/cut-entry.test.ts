import { expect, test } from "@jest/globals";
import { cutEntry } from "./cut-entry.ts";

const bytesMax = 1024 * 1024;
const long = "long ".repeat(1_000);
const cut = `${long.slice(0, 2_000)}…`;
const lists = Array.from({ length: 100_000 }, (_, index) => String(index));
const told = (entry: object): Record<string, unknown> => {
  const kept = cutEntry(JSON.stringify(entry));
  expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(bytesMax);
  return JSON.parse(kept) as Record<string, unknown>;
};

test("an entry that is not too large stays as it is written", () => {
  const entry = `{"outputs":{"9":{"text":["${long}"]}},"status": {"completed": true},"meta":{}}`;
  expect(cutEntry(entry)).toBe(entry);
});

test("how a prompt ended remains, however much the server said of it", () => {
  const about = { prompt_id: "prompt", timestamp: 1 };
  const error = {
    ...{ ...about, node_id: "7", node_type: "SaveImage", executed: lists, exception_message: long },
    ...{
      exception_type: "ValueError",
      traceback: [long],
      current_inputs: { 7: lists },
      current_outputs: lists,
    },
  };
  const messages = [
    ["execution_start", about],
    ["execution_cached", { ...about, nodes: lists }],
    ["execution_error", error],
  ];
  const outputs = { 3: { images: [{ filename: "a.png" }] } };
  const status = { status_str: "error", completed: false, messages };
  expect(told({ outputs, status, meta: {} })).toEqual({
    outputs,
    status: {
      ...{ status_str: "error", completed: false },
      messages: [
        ["execution_start", about],
        [
          "execution_error",
          {
            ...{ ...error, executed: [], traceback: [cut], current_inputs: {}, current_outputs: [] },
            exception_message: cut,
          },
        ],
      ],
    },
    meta: {},
  });
});

test("names of files remain beside values that are too large", () => {
  const images = [{ filename: "a.png", subfolder: "", type: "output" }];
  const outputs = { 3: { points: lists, images }, 4: { points: lists }, 5: { images } };
  const status = { completed: true, messages: [["execution_success", { prompt_id: "prompt" }]] };
  const meta = { 3: { node_id: "3" } };
  expect(told({ outputs, status, meta })).toEqual({
    outputs: { 3: { images }, 5: { images } },
    status,
    meta,
  });
});

test("nothing that a server may say makes an entry too large, or without an end", () => {
  const many: Record<string, string> = {};
  for (const name of lists.slice(0, 300)) many[`${name}${"é".repeat(40)}`] = "\u0001".repeat(2_000);
  const status = { ...many, messages: [["execution_error", { prompt_id: "prompt", ...many }]] };
  const entry = {
    outputs: Object.fromEntries(lists.map((id): [string, object] => [id, { a: 1 }])),
    status,
    meta: many,
  };
  expect(told(entry)).toMatchObject({ status: { messages: [["execution_error", { prompt_id: "prompt" }]] } });
  expect(told({ outputs: [lists, lists], status: lists, meta: null })).toMatchObject({
    status: { messages: [] },
  });
});
