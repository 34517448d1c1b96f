import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { type WatchEvent, type Workflow } from "../src/index.ts";
import { promptOfLargeState } from "../src/wire/large-states.ts";
import { connect, follow, isMessage, serveEachTest, server } from "./connector-under-test.ts";
import { messagesOf, recordedPosts, transcriptNames } from "./recordings.ts";

serveEachTest();

const nodesOfGraph = 200;
const graph: Workflow = Object.fromEntries(
  Array.from({ length: nodesOfGraph }, (_, index) => [
    String(index + 1),
    { class_type: "Work", inputs: {}, _meta: { title: `Node ${index + 1}` } },
  ]),
);

/** The message when `done` nodes have ended and the next one runs, in the server's layout. */
function state(promptId: string, done: number): string {
  const node = (id: number): unknown => ({
    ...{ value: id <= done ? 1 : 0, max: 1, state: id <= done ? "finished" : "running", node_id: String(id) },
    ...{ prompt_id: promptId, display_node_id: String(id), parent_node_id: null, real_node_id: String(id) },
  });
  const ids = Array.from({ length: Math.min(done + 1, nodesOfGraph) }, (_, index) => index + 1);
  const nodes = Object.fromEntries(ids.map((id) => [String(id), node(id)]));
  return JSON.stringify({ type: "progress_state", data: { prompt_id: promptId, nodes } });
}

const hasDone =
  (nodesDone: number) =>
  (event: WatchEvent): boolean =>
    event.type === "progress" && event.progress.nodesDone === nodesDone;

describe("a graph whose progress_state is large", () => {
  test("shows where it stands after a burst, of which most messages are not parsed", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow: graph });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    // In one turn of the server's loop: they arrive together, within a few milliseconds.
    for (let done = 50; done < 150; done += 1) server.sendRaw(connector.clientId, state(promptId, done));
    await expect(until(hasDone(149))).resolves.toMatchObject({
      progress: { node: "150", nodeTitle: "Node 150" },
    });
    expect(connector.counters.replacedMessages).toBeGreaterThan(0);
    expect(connector.counters.unknownMessages).toBe(0);
    server.end();
    await ended;
  });

  test("shows the last state before the end, also if the end comes at once", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow: graph });
    const { events, ended } = follow(connector, promptId);
    server.begin();
    for (const done of [50, 60, 70]) server.sendRaw(connector.clientId, state(promptId, done));
    server.end("error");
    await ended;
    expect(events.filter(({ type }) => type === "progress").at(-1)).toMatchObject({
      progress: { nodesDone: 70 },
    });
  });

  test("counts as a sign of life with every message, whether it is parsed or not", async () => {
    const connector = connect({ silenceMs: 300 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow: graph });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    await until(isMessage("execution_cached"));
    const { lookups, messages } = connector.counters;
    // For three times the silence that leads to a lookup.
    while (connector.counters.messages < messages + 90) {
      server.sendRaw(connector.clientId, state(promptId, 60));
      await sleep(10);
    }
    expect(connector.counters.replacedMessages).toBeGreaterThan(0);
    expect(connector.counters.lookups).toBe(lookups);
    server.end();
    await ended;
  });

  test("is ignored and counted where it is no such message after all", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow: graph });
    const { events, ended } = follow(connector, promptId);
    server.begin();
    const good = state(promptId, 60);
    const others = randomUUID();
    const strange = [
      good.slice(0, -2),
      good.replace('"nodes":{', '"nodes":{},"nodes":[],"rest":{'),
      good.replace(/\}$/, ',"type":"execution_success"}'),
      good.replace(/\}\}$/, `},"prompt_id":"${others}"}}`),
    ];
    for (const text of strange) {
      const counted = connector.counters.unknownMessages;
      server.sendRaw(connector.clientId, text);
      const isRead = (): boolean => connector.counters.unknownMessages > counted;
      while (!isRead()) await sleep(5);
    }
    // About a prompt that nobody watches.
    server.sendRaw(connector.clientId, state(others, 60));
    server.end();
    await ended;
    expect(connector.counters.unknownMessages).toBe(strange.length);
    expect(events.some(hasDone(60))).toBe(false);
    expect(events.at(-1)).toMatchObject({ type: "settled", lookup: { state: "finished" } });
  });
});

describe("the look at the first bytes of a message", () => {
  const recorded = (["0.3.64", "0.28"] as const).flatMap((version) =>
    transcriptNames(version).flatMap((name) =>
      recordedPosts(name, version).flatMap(({ promptId }) => messagesOf(name, promptId, version)),
    ),
  );
  /** As the server writes JSON, and long enough to be looked at. */
  const written = (message: unknown): Buffer =>
    Buffer.from(JSON.stringify(message, null, 1).replace(/\n */g, " ").replaceAll("{ ", "{").padEnd(5_000));

  test("knows every recorded progress_state by its prompt, and takes no other message for one", () => {
    const seen = { states: 0, others: 0 };
    for (const message of recorded) {
      const { type, data } = message as { type: string; data: { prompt_id?: string } };
      const isState = type === "progress_state";
      // An id of another client may be any text; those messages are parsed.
      const isLookedAt = isState && /^[\w-]+$/.test(data.prompt_id ?? "");
      expect(promptOfLargeState(written(message))).toBe(isLookedAt ? data.prompt_id : undefined);
      seen[isState ? "states" : "others"] += 1;
    }
    expect(seen.states).toBeGreaterThan(500);
    expect(seen.others).toBeGreaterThan(500);
  });

  test("leaves short ones to the parser, and those that are written in another way", () => {
    const promptId = randomUUID();
    const text = state(promptId, 60);
    expect(promptOfLargeState(Buffer.from(text))).toBe(promptId);
    expect(promptOfLargeState(Buffer.from(state(promptId, 3)))).toBeUndefined();
    expect(promptOfLargeState(Buffer.from(` ${text}`))).toBeUndefined();
    expect(promptOfLargeState(Buffer.from(text.replace(promptId, '\\"')))).toBeUndefined();
    expect(promptOfLargeState(Buffer.alloc(10_000))).toBeUndefined();
  });
});
