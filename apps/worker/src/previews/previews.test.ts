import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "@jest/globals";
import { type LeasedJob, type PreviewNote, type PreviewPicture, type PreviewWish } from "@genga/jobs";
import { aRun } from "../../test/support/a-run.ts";
import { Previews } from "./previews.ts";

const jpeg = (...more: number[]): Uint8Array => Uint8Array.from([0xff, 0xd8, 0xff, ...more]);
const previewOf = (bytes: Uint8Array, mediaType = "image/jpeg") => ({
  ...{ promptId: "prompt", nodeId: "3", mediaType, bytes },
});

let opened: Previews[] = [];
afterEach(async () => {
  await Promise.all(opened.map((previews) => previews.close()));
  opened = [];
});

function underTest() {
  const pictures: [to: string, picture: PreviewPicture][] = [];
  const notes: [to: string, note: PreviewNote][] = [];
  let tell: (wish: PreviewWish) => void = () => undefined;
  const previews = new Previews({
    onWish: (listener) => {
      tell = listener;
    },
    sendPicture: (...sent) => pictures.push(sent),
    sendNote: (...sent) => notes.push(sent),
    close: () => Promise.resolve(),
  });
  opened.push(previews);
  const run: { leased: LeasedJob } = aRun({ wasAdopted: false });
  const wish = (from: string, of: Partial<PreviewWish>): void => {
    tell({ from, pictures: [], notes: [], ...of });
  };
  return { previews, pictures, notes, run, wish, jobId: run.leased.jobId };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(10);
}

describe("pictures", () => {
  test("are sent to nobody while nobody asks", async () => {
    const { previews, pictures, notes, run } = underTest();
    for (let count = 1; count < 20; count += 1) previews.note(run, previewOf(jpeg(count)));
    await sleep(600);
    expect([pictures, notes]).toEqual([[], []]);
  });

  test("are sent to who asked: the last one at once, and later ones as they come, but not each of many", async () => {
    const { previews, pictures, run, wish, jobId } = underTest();
    previews.note(run, previewOf(jpeg(1)));
    previews.note(run, previewOf(jpeg(2)));
    wish("one", { pictures: [jobId, "another job"] });
    expect(pictures).toEqual([["one", { jobId, attempt: 2, mediaType: "image/jpeg", bytes: jpeg(2) }]]);
    for (let count = 3; count <= 50; count += 1) previews.note(run, previewOf(jpeg(count)));
    await until(() => pictures.some(([, { bytes }]) => bytes[3] === 50));
    expect(pictures.length).toBeLessThan(6);
  });

  test("that come after they were asked for are sent, and none of a run that has ended", async () => {
    const { previews, pictures, run, wish, jobId } = underTest();
    previews.begin(run);
    wish("one", { pictures: [jobId] });
    expect(pictures).toEqual([]);
    previews.note(run, previewOf(jpeg(1)));
    await until(() => pictures.length === 1);
    previews.forget(run);
    wish("two", { pictures: [jobId] });
    expect(pictures).toHaveLength(1);
  });

  test.each([
    ["of another type", previewOf(jpeg(1), "image/gif")],
    ["that do not begin as their type does", previewOf(jpeg(1), "image/png")],
    ["that are scripts", previewOf(new TextEncoder().encode("<svg onload=alert(1)>"))],
    [
      "that are too large",
      previewOf(Uint8Array.from({ length: 2 * 1024 * 1024 + 1 }, (_unused, index) => jpeg(1)[index] ?? 0)),
    ],
    ["that are empty", previewOf(new Uint8Array())],
  ])("%s are not shown", (_title, preview) => {
    const { previews, pictures, run, wish, jobId } = underTest();
    previews.note(run, preview);
    wish("one", { pictures: [jobId] });
    expect(pictures).toEqual([]);
  });
});

test("who asked for notes of a job, or of its tenant, gets one, and no picture", async () => {
  const { previews, pictures, notes, run, wish, jobId } = underTest();
  const { tenantId, batchId } = run.leased.job;
  wish("one", { notes: [jobId] });
  wish("two", { notes: [tenantId, jobId] });
  wish("three", { notes: ["another tenant"] });
  for (let count = 1; count < 20; count += 1) previews.note(run, previewOf(jpeg(count)));
  await until(() => notes.length >= 2);
  const note = { jobId, batchId, tenantId, attempt: 2 };
  expect(notes.toSorted(([one], [other]) => one.localeCompare(other))).toEqual([
    ["one", note],
    ["two", note],
  ]);
  expect(pictures).toEqual([]);
});
