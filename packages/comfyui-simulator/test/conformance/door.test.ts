import { afterAll, describe, expect, test } from "@jest/globals";
import { DoorTarget } from "./door-target.ts";
import { recordings } from "./recordings.ts";
import { replaySteadily, report, type Outcome } from "./run-conformance.ts";

// All recordings, also through a door with three servers: `npm run test:conformance -- door` and `… -- door-of-three`.
const replayed = {
  door: ["02-success", "03-cached", "04-validation", "05-execution-error", "11-outputs", "12-http-api"],
  "door of three": ["04-validation"],
};

describe.each([1, 3] as const)(
  "the door in front of %d servers answers like the recorded server",
  (servers) => {
    const target = new DoorTarget(servers);
    const outcomes: Outcome[] = [];

    afterAll(async () => {
      await target.stop();
      process.stderr.write(`${target.name}\n${report(outcomes)}\n`);
    }, 180_000);

    test.each(recordings.filter(({ name }) => replayed[target.name].includes(name)))(
      "in $name of $version",
      async (recording) => {
        const outcome = await replaySteadily(target, recording);
        outcomes.push(outcome);
        expect(outcome.unexplainedTexts).toEqual([]);
        expect(outcome.equal).toBeGreaterThan(0);
      },
      180_000,
    );
  },
);
