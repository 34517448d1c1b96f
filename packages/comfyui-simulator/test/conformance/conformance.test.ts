import { afterAll, describe, expect, test } from "@jest/globals";
import { recordings } from "./recordings.ts";
import { replaySteadily, report, type Outcome, type Target } from "./run-conformance.ts";
import { SimulatorTarget } from "./simulator-target.ts";

describe("the simulator answers like the recorded server", () => {
  const outcomes: Outcome[] = [];

  afterAll(() => {
    process.stderr.write(`${report(outcomes)}\n`);
  });

  test.each(recordings)(
    "in $name of $version",
    async (recording) => {
      const target = new SimulatorTarget();
      try {
        const outcome = await replaySteadily(target, recording);
        outcomes.push(outcome);
        expect(outcome.unexplainedTexts).toEqual([]);
        expect(outcome.equal).toBeGreaterThan(0);
      } finally {
        await target.stop();
      }
    },
    180_000,
  );
});

const otherModel: unknown = expect.stringMatching(/^model loader with a model file that is not there/);

test("the comparison notices a server that behaves differently", async () => {
  const target = new SimulatorTarget({ models: { checkpoints: ["x.safetensors"] } });
  const recording = recordings.find(({ name }) => name === "04-validation");
  if (!recording) throw new Error("the recording is gone");
  try {
    const { unexplainedTexts } = await replaySteadily(target, recording, { silenceMs: 200 });
    expect(unexplainedTexts).toContainEqual(otherModel);
  } finally {
    await target.stop();
  }
}, 180_000);

test("a replay that differs is repeated, and what it does not show again is told as chance", async () => {
  const [different, like] = [
    new SimulatorTarget({ models: { checkpoints: ["x.safetensors"] } }),
    new SimulatorTarget(),
  ];
  const recording = recordings.find(({ name }) => name === "04-validation");
  if (!recording) throw new Error("the recording is gone");
  let replays = 0;
  const target: Target = {
    ...{ name: like.name, silenceMs: like.silenceMs },
    prepare: (some) => (++replays === 1 ? different : like).prepare(some),
    onNote: () => Promise.resolve(),
    onCase: () => Promise.resolve(),
    skipCase: () => undefined,
    stop: async () => {
      await Promise.all([different.stop(), like.stop()]);
    },
  };
  try {
    const { unexplainedTexts, chanceTexts } = await replaySteadily(target, recording, { silenceMs: 200 });
    expect({ unexplainedTexts, replays }).toEqual({ unexplainedTexts: [], replays: 2 });
    expect(chanceTexts).toContainEqual(otherModel);
  } finally {
    await target.stop();
  }
}, 180_000);
