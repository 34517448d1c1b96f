import { afterAll, describe, expect, test } from "@jest/globals";
import { recordings } from "./recordings.ts";
import { replayAgainst, report, type Outcome } from "./run-conformance.ts";
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
        const outcome = await replayAgainst(target, recording);
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

test("the comparison notices a server that behaves differently", async () => {
  const target = new SimulatorTarget({ models: { checkpoints: ["x.safetensors"] } });
  const recording = recordings.find(({ name }) => name === "04-validation");
  if (!recording) throw new Error("the recording is gone");
  try {
    const { unexplainedTexts } = await replayAgainst(target, recording, { silenceMs: 200 });
    expect(unexplainedTexts).toContainEqual(
      expect.stringMatching(/^model loader with a model file that is not there/),
    );
  } finally {
    await target.stop();
  }
}, 180_000);
