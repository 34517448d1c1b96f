import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { type PreviewPicture, type PreviewTaker, type PreviewWish } from "@genga/jobs";
import { LivePreviews } from "./live-previews.ts";

const jobId = "job";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

function underTest() {
  const wishes: Omit<PreviewWish, "from">[] = [];
  let show: (picture: PreviewPicture) => void = () => undefined;
  const taker: PreviewTaker = {
    wish: (wish) => wishes.push(wish),
    onPicture: (listener) => {
      show = listener;
    },
    onNote: () => undefined,
    close: () => Promise.resolve(),
  };
  const previews = new LivePreviews(taker);
  const send = (step: number): void => {
    show({ jobId, attempt: 1, mediaType: "image/jpeg", bytes: Uint8Array.from([step]) });
  };
  /** @returns the step whose picture a client gets */
  const ask = async (): Promise<number | undefined> => {
    const picture = previews.latest(jobId, 1, new AbortController().signal);
    await jest.advanceTimersByTimeAsync(700);
    return (await picture)?.bytes[0];
  };
  return { previews, wishes, send, ask };
}

test("a picture is there until the next one comes, however long a step takes", async () => {
  const { previews, send, ask } = underTest();
  await ask();
  send(1);
  for (let count = 0; count < 15; count += 1) {
    expect(await ask()).toBe(1);
    await jest.advanceTimersByTimeAsync(1_300);
  }
  send(2);
  expect(await ask()).toBe(2);
  await previews.close();
});

test("a client that asks seldom gets the latest picture, though the worker does not send it again", async () => {
  const { previews, wishes, send, ask } = underTest();
  await ask();
  send(1);
  await jest.advanceTimersByTimeAsync(6_500);
  // The worker's memory of the last wish outlives the client's interest, and so it sends this one.
  send(2);
  const wishedBefore = wishes.length;
  expect(await ask()).toBe(2);
  expect(wishes.length).toBeGreaterThan(wishedBefore);
  await previews.close();
});

test("nothing is kept or wished a while after the last client asked", async () => {
  const { previews, wishes, send, ask } = underTest();
  await ask();
  send(1);
  await jest.advanceTimersByTimeAsync(30_000);
  const wished = wishes.length;
  await jest.advanceTimersByTimeAsync(30_000);
  expect(wishes).toHaveLength(wished);
  expect(jest.getTimerCount()).toBe(0);
  send(2);
  expect(await ask()).toBeUndefined();
  await previews.close();
});
