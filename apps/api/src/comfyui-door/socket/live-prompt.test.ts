import { describe, expect, test } from "@jest/globals";
import { type DoorMessage, type DoorPrompt } from "@genga/jobs";
import { heldMs, LivePrompt } from "./live-prompt.ts";
import { type Outgoing } from "./outgoing.ts";
import { promptEndOf } from "./prompt-end.ts";

const serverPromptId = "0195f000-0000-7000-8000-000000000001";
const of = { jobId: "job", attempt: 1, serverPromptId };

function aPrompt(more: Partial<DoorPrompt> = {}): LivePrompt {
  const prompt: DoorPrompt = {
    ...{
      jobId: "job",
      tenantId: "tenant",
      keyName: "key",
      promptId: 'a "name"',
      clientId: "client",
      number: 1,
    },
    ...{ saidHash: "", extraData: null, targets: null, outputNodes: [], socketNodes: [], rewrites: [] },
    ...{
      createdAt: new Date(),
      hidden: false,
      status: "processing",
      attempt: 1,
      cancelRequestedAt: null,
      startedAt: null,
      finishedAt: null,
    },
    ...more,
  };
  return new LivePrompt(prompt);
}

function text(type: string, data: Record<string, unknown> = {}, attempt = 1): DoorMessage {
  const json = JSON.stringify({ type, data: { ...data, prompt_id: serverPromptId } });
  const node = data["node"];
  return { ...of, attempt, kind: "text", type, json, ...(typeof node === "string" && { node }) };
}

const madeFiles = (node: string): DoorMessage => ({ ...of, kind: "made-files", node, displayNode: node });
const ended: DoorMessage = { ...of, kind: "ended" };

function anEnd(outputs: Record<string, unknown>, last = "execution_success") {
  const messages = ["execution_start", "execution_cached", last].map((type) => [type, { prompt_id: "p" }]);
  return promptEndOf(
    JSON.stringify({ outputs, status: { messages }, meta: { 4: { display_node: "40" } } }),
    1,
  );
}

const namesOf = (items: readonly Outgoing[]): string[] =>
  items.map((item) => (item.kind === "text" ? [item.type, item.node].filter(Boolean).join(" ") : item.kind));

describe("what a server says", () => {
  test("is told at once, under the client's name of the prompt", () => {
    const [told] = aPrompt().take(text("executing", { node: "3" }), 0);
    expect(told?.kind === "text" && JSON.parse(told.json)).toEqual({
      type: "executing",
      data: { node: "3", prompt_id: 'a "name"' },
    });
  });

  test("waits for the end after a node has made files, and is then told in its order, with their names", () => {
    const live = aPrompt();
    live.take(text("execution_start"), 0);
    const held = [madeFiles("3"), text("progress_state"), text("executing", { node: "4" }), madeFiles("4")];
    for (const message of held) expect(live.take(message, 10)).toEqual([]);
    expect(live.flushAt).toBe(10 + heldMs);
    live.take(ended, 20);
    expect(live.flushAt).toBeNull();
    const items = live.end(anEnd({ 3: { images: [{ filename: "x.png" }] }, 4: { images: [] } }));
    expect(namesOf(items)).toEqual([
      ...["executed 3", "progress_state", "executing 4", "executed 4", "execution_success"],
    ]);
    expect(items[0]?.kind === "text" && JSON.parse(items[0].json)).toEqual({
      type: "executed",
      data: {
        node: "3",
        display_node: "3",
        output: { images: [{ filename: "x.png" }] },
        prompt_id: 'a "name"',
      },
    });
  });

  test("goes on after a while, although files were made", () => {
    const live = aPrompt();
    live.take(text("execution_start"), 0);
    live.take(madeFiles("3"), 0);
    live.take(text("progress", { node: "5" }), 1);
    expect(namesOf(live.flush())).toEqual(["progress 5"]);
    expect(namesOf(live.take(text("progress", { node: "5" }), 2_000))).toEqual(["progress 5"]);
    expect(live.take(madeFiles("6"), 2_001)).toEqual([]);
    expect(live.flushAt).toBeNull();
    const items = live.end(anEnd({ 3: {}, 6: {} }));
    expect(namesOf(items)).toEqual(["executed 3", "executed 6", "execution_success"]);
  });

  test("of an earlier attempt, or after the end, is dropped; of a later one it begins anew", () => {
    const live = aPrompt();
    live.take(text("execution_start"), 0);
    live.take(madeFiles("3"), 0);
    expect(namesOf(live.take(text("execution_start", {}, 2), 0))).toEqual(["execution_start"]);
    expect(live.take(text("executing", { node: "3" }, 1), 0)).toEqual([]);
    live.end({ ...anEnd({}), attempt: 2 });
    expect(live.take(text("executing", { node: "3" }, 2), 0)).toEqual([]);
    expect(namesOf(live.take(text("execution_start", {}, 3), 0))).toEqual(["execution_start"]);
  });
});

describe("the end", () => {
  test("of a prompt of which nothing was told has its beginning and all outputs", () => {
    const items = aPrompt().end(anEnd({ 4: { text: ["hello"] } }, "execution_error"));
    expect(namesOf(items)).toEqual(["execution_start", "execution_cached", "executed 4", "execution_error"]);
    expect(items[2]?.kind === "text" && JSON.parse(items[2].json)).toMatchObject({
      data: { node: "4", display_node: "40" },
    });
  });

  test("tells no output twice", () => {
    const live = aPrompt();
    live.take(text("execution_start"), 0);
    expect(namesOf(live.take(text("executed", { node: "4" }), 0))).toEqual(["executed 4"]);
    expect(namesOf(live.end(anEnd({ 4: { text: ["hello"] } })))).toEqual(["execution_success"]);
  });

  test("told again, since the first time may not have arrived, has the outputs and the pictures again", () => {
    const live = aPrompt({ socketNodes: ["5"] });
    live.take(text("execution_start"), 0);
    for (const message of [madeFiles("3"), text("executing", { node: "5" }), text("progress_state")])
      live.take(message, 0);
    const end = anEnd({ 3: {}, 4: {} });
    expect(namesOf(live.end(end))).toEqual([
      ...["executed 3", "pictures", "progress_state", "executed 4", "execution_success"],
    ]);
    expect(namesOf(live.end(end))).toEqual(["executed 3", "pictures", "executed 4", "execution_success"]);
  });

  test("has the pictures that go to the socket, and no list of them", () => {
    const live = aPrompt({ socketNodes: ["3"] });
    live.take(text("execution_start"), 0);
    expect(live.take(text("executing", { node: "3" }), 0)).toEqual([]);
    expect(live.take(madeFiles("3"), 0)).toEqual([]);
    expect(live.end(anEnd({})).map(({ kind }) => kind)).toEqual(["pictures", "text"]);
    const missed = aPrompt({ socketNodes: ["3"] }).end(anEnd({}));
    expect(missed.map(({ kind }) => kind)).toEqual(["text", "text", "pictures", "text"]);
  });
});
