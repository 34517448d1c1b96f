import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// Two tenants, and a key of one of them that operates; no server is known, so only the rules can refuse a class.

let api: ApiUnderTest;
const key = (name: string): Record<string, string> => ({ authorization: `Bearer key-of-${name}` });

beforeAll(async () => {
  const apiKeys = "studio:key-of-studio,atelier:key-of-atelier,studio:operate:key-of-operator";
  api = await startApiUnderTest({ env: { API_KEYS: apiKeys } });
});
afterAll(async () => {
  await api.stop();
});

const rawJob = (class_type: string): object => ({
  type: "workflow",
  workflow: {
    "1": { class_type, inputs: {} },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  },
});

describe("by default", () => {
  test.each([
    ...["VHS_LoadVideoPath", "VHS_LoadVideoFFmpegPath", "VHS_LoadImagesPath", "VHS_LoadImagePath"],
    ...["VHS_LoadAudio", "VHS_LoadImages", "LoadImageDataSetFromFolder", "LoadImageTextDataSetFromFolder"],
    ...["LoadTrainingDataset", "LoadImagesFromDir //Inspire", "Load Image Batch", "LoadImageFromUrl"],
    ...["easy loadImageForUrl", "LoadVideoFromURL", "Image Load", "LoadImageFromPath"],
    ...["SaveLoRA", "SaveLoRANode"],
  ])("%s is refused to keys without the role operate, alone and in a batch", async (classType) => {
    const alone = await api.post("generate", rawJob(classType), key("studio"));
    expect(alone.status).toBe(422);
    expect(await alone.json()).toMatchObject({
      code: "denied-node-class",
      problems: [{ path: "workflow.1", code: "denied-node-class", nodeId: "1", received: classType }],
    });
    const jobs = [rawJob("LoadImage"), rawJob(classType)];
    const batch = await api.post("batches", { jobs }, key("atelier"));
    expect(batch.status).toBe(422);
    expect(await batch.json()).toMatchObject({
      problems: [{ path: "jobs.1.workflow.1", code: "denied-node-class" }],
    });
    expect((await api.post("generate", rawJob(classType), key("operator"))).status).toBe(202);
  });

  test("of all classes of the recorded servers only these few are refused", async () => {
    const denied: string[] = [];
    const classes = Object.keys(
      await recordedDefinitions("core", "animatediff", "video-helper-suite", "native-video-nodes"),
    );
    for (const classType of classes) {
      const answer = await api.post("generate", rawJob(classType), key("studio"));
      const { code } = (await answer.json()) as { code?: string };
      if (code === "denied-node-class") denied.push(classType);
    }
    expect(classes.length).toBeGreaterThan(100);
    expect(denied.sort()).toEqual([
      ...["VHS_LoadAudio", "VHS_LoadImagePath", "VHS_LoadImages", "VHS_LoadImagesPath", "VHS_LoadVideoPath"],
    ]);
  });
});

test("a key runs no job again, alone or in a batch, that it may not submit", async () => {
  const post = (path: string, body: object, name: string): Promise<Response> =>
    api.post(path, body, key(name));
  const alone = (await (await post("generate", rawJob("VHS_LoadImages"), "operator")).json()) as {
    id: string;
  };
  const jobs = [rawJob("LoadImage"), rawJob("VHS_LoadImages")];
  const batch = (await (await post("batches", { jobs }, "operator")).json()) as {
    id: string;
    jobs: { id: string }[];
  };
  await post(`jobs/${alone.id}/cancel`, {}, "operator");
  const [server] = await api.database.servers.registerServers([{ url: "http://gpu-1:8188", slots: 2 }]);
  for (const { id } of batch.jobs) {
    const leased = await api.worker.claim(id, server!.id);
    await api.worker.end(leased, {
      kind: "failed",
      failure: { class: "execution", code: "broke", message: "It broke." },
    });
  }

  const refused = await post(`jobs/${alone.id}/retry`, {}, "studio");
  expect(refused.status).toBe(422);
  expect(await refused.json()).toMatchObject({ problems: [{ code: "denied-node-class", nodeId: "1" }] });
  const refusedBatch = await post(`batches/${batch.id}/retry`, {}, "studio");
  expect(refusedBatch.status).toBe(422);
  expect(await refusedBatch.json()).toMatchObject({ problems: [{ received: "VHS_LoadImages" }] });

  expect((await post(`jobs/${alone.id}/retry`, {}, "operator")).status).toBe(202);
  expect((await post(`batches/${batch.id}/retry`, {}, "operator")).status).toBe(202);
});

test("the settings replace the list and make exceptions", async () => {
  const other = await api.startAnother({
    NODE_CLASSES_DENIED: "VHS_*,Secret",
    NODE_CLASSES_ALLOWED: "VHS_LoadVideoPath",
  });
  try {
    const statusOf = async (classType: string): Promise<number> => {
      const body = JSON.stringify(rawJob(classType));
      const headers = { ...key("studio"), "content-type": "application/json" };
      return (await fetch(`${other.url}/api/anime/generate`, { method: "POST", headers, body })).status;
    };
    expect(await statusOf("VHS_LoadVideoPath")).toBe(202);
    expect(await statusOf("LoadTrainingDataset")).toBe(202);
    expect(await statusOf("VHS_LoadAudio")).toBe(422);
    expect(await statusOf("secret")).toBe(422);
  } finally {
    await other.stop();
  }
});
