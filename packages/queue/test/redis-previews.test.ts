import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type DoorMessage, type PreviewNote, type PreviewPicture } from "@genga/jobs";
import {
  createSignals,
  RedisDoorMessageGiver,
  RedisDoorMessageTaker,
  RedisPreviewGiver,
  RedisPreviewTaker,
  type RedisSignals,
} from "@genga/queue";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { freshPrefix, recordingLogger, testRedisUrl } from "./test-redis.ts";

// The taker reads over a proxy that can freeze.

let proxy: TcpProxy;
let taker: RedisPreviewTaker;
let otherTaker: RedisPreviewTaker;
let giver: RedisPreviewGiver;
let signals: RedisSignals;
let takerName = "";
const pictures: PreviewPicture[] = [];
const notes: PreviewNote[] = [];
const ofOther: unknown[] = [];

beforeAll(async () => {
  proxy = await startTcpProxy({ targetUrl: testRedisUrl() });
  const options = { redisUrl: testRedisUrl(), prefix: freshPrefix(), logger: recordingLogger() };
  taker = new RedisPreviewTaker({ ...options, redisUrl: proxy.url });
  otherTaker = new RedisPreviewTaker(options);
  giver = new RedisPreviewGiver(options);
  signals = createSignals(options);
  taker.onPicture((picture) => pictures.push(picture));
  taker.onNote((note) => notes.push(note));
  otherTaker.onPicture((picture) => ofOther.push(picture));
  giver.onWish(({ from, pictures: jobIds, notes: ids }) => {
    if (jobIds.length > 0) takerName = from;
    const bytes = Uint8Array.from([0, 255, 7]);
    for (const jobId of jobIds) giver.sendPicture(from, { jobId, attempt: 1, mediaType: "image/png", bytes });
    for (const jobId of ids) giver.sendNote(from, { jobId, batchId: null, tenantId: "tenant", attempt: 2 });
  });
});
afterAll(async () => {
  await Promise.all([taker, otherTaker, giver, signals].map((part) => part.close()));
  await proxy.close();
});

/** Asks until there is an answer: what is lost while connections are made is asked for again. */
async function askUntil(isThere: () => boolean): Promise<void> {
  while (!isThere()) {
    taker.wish({ pictures: ["job"], notes: ["note"] });
    await sleep(50);
  }
}

test("who asks gets pictures and notes, byte for byte, and nobody else does", async () => {
  otherTaker.wish({ pictures: [], notes: [] });
  await askUntil(() => pictures.length > 0 && notes.length > 0);
  expect(pictures[0]).toMatchObject({ jobId: "job", attempt: 1, mediaType: "image/png" });
  expect([...pictures[0]!.bytes]).toEqual([0, 255, 7]);
  expect(notes[0]).toMatchObject({ jobId: "note", batchId: null, tenantId: "tenant", attempt: 2 });
  expect(ofOther).toEqual([]);
});

test("a process that reads its previews too slowly loses no cancel request, and gets previews again", async () => {
  const cancelled: string[] = [];
  let interruptions = 0;
  await signals.subscribe(
    "cancel",
    ({ jobIds }) => cancelled.push(...jobIds),
    () => (interruptions += 1),
  );
  await askUntil(() => pictures.length > 0);
  proxy.freeze();
  // More than Redis keeps for a subscriber that does not read.
  const bytes = new Uint8Array(2 * 1024 * 1024).fill(255);
  for (let count = 0; count < 40; count += 1) {
    giver.sendPicture(takerName, { jobId: "job", attempt: 1, mediaType: "image/png", bytes });
    signals.publish("cancel", { jobIds: [String(count)] });
    await sleep(20);
  }
  while (cancelled.length < 40) await sleep(10);
  expect(cancelled).toEqual(Array.from({ length: 40 }, (_unused, index) => String(index)));
  expect(interruptions).toBe(0);
  proxy.thaw();
  const before = pictures.length;
  await askUntil(() => pictures.slice(before).some((picture) => picture.bytes.length === 3));
}, 180_000);

test("pictures for clients of ComfyUI's protocol are sent until it is known that nobody listens, anew for each prompt", async () => {
  const options = { redisUrl: testRedisUrl(), prefix: freshPrefix(), logger: recordingLogger() };
  const [doorGiver, doorTaker] = [new RedisDoorMessageGiver(options), new RedisDoorMessageTaker(options)];
  const about = { jobId: "job", attempt: 1, serverPromptId: "prompt" };
  const start: DoorMessage = { ...about, kind: "text", type: "execution_start", json: "{}" };
  const say = (message: DoorMessage): void => {
    doorGiver.publish("tenant", message);
  };
  say(start);
  expect(doorGiver.isHeard("tenant")).toBe(true);
  while (doorGiver.isHeard("tenant")) await sleep(5);
  const heard: string[] = [];
  const { live, end } = doorTaker.listen("tenant", {
    onMessage: ({ kind }) => heard.push(kind),
    onNote: () => undefined,
    onMissed: () => undefined,
  });
  await live;
  // The answer to what was sent before the start tells nothing about it.
  say({ ...about, kind: "ended" });
  say(start);
  expect(doorGiver.isHeard("tenant")).toBe(true);
  say({ ...about, kind: "frame", frame: Uint8Array.from([0, 0, 0, 1]) });
  while (!heard.includes("frame")) await sleep(5);
  expect(heard).toEqual(["ended", "text", "frame"]);
  expect(doorGiver.isHeard("tenant")).toBe(true);
  end();
  await Promise.all([doorGiver.close(), doorTaker.close()]);
});
