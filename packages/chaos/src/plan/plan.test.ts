import { describe, expect, test } from "@jest/globals";
import { jobPoints, pointActions } from "./fault.ts";
import { planRound } from "./plan.ts";

const plans = Array.from({ length: 1_000 }, (_, round) => planRound(7, round));
const faults = plans.flatMap(({ steps }) =>
  steps.flatMap((step) => (step.do === "fault" ? [step.fault] : [])),
);

describe("a chaos plan", () => {
  test("is the same for the same seed and round, and differs for others", () => {
    expect(planRound(7, 3)).toEqual(plans[3]);
    expect(JSON.parse(JSON.stringify(planRound(7, 3)))).toEqual(plans[3]);
    expect(new Set(plans.map((plan) => JSON.stringify(plan.steps))).size).toBe(plans.length);
    expect(planRound(8, 3).steps).not.toEqual(plans[3]?.steps);
  });

  test("contains, over many seeds, every kind of fault and every action at every point", () => {
    const pairs = faults.flatMap((fault) =>
      fault.kind === "at-point" ? [`${fault.action} ${fault.point}`] : [],
    );
    expect(new Set(pairs).size).toBe(jobPoints.length * pointActions.length);
    expect(new Set(faults.map(({ kind }) => kind)).size).toBe(38);
  });

  test("removes, by clients and by retention, some of the jobs that may be answered from each other", () => {
    for (const { steps } of plans) {
      const colors = new Set(steps.flatMap((step) => (step.do === "reuse" ? [step.color] : [])));
      expect(colors.size).toBe(2);
      for (const step of steps) if (step.do === "remove") expect(colors).toContain(step.color);
    }
    const by = plans.flatMap(({ steps }) => steps.flatMap((step) => (step.do === "remove" ? [step.by] : [])));
    expect(new Set(by)).toEqual(new Set(["client", "retention"]));
  });

  test("uses only jobs that it submits, in the order of time", () => {
    for (const { steps } of plans) {
      const times = steps.map(({ atMs }) => atMs);
      expect(times).toEqual([...times].sort((one, other) => one - other));
      const submitted = new Set(
        steps.flatMap((step) =>
          step.do === "submit"
            ? [step.job]
            : step.do === "submit-batch"
              ? step.jobs.map(({ job }) => job)
              : [],
        ),
      );
      for (const step of steps) {
        if (step.do === "cancel" || step.do === "retry" || step.do === "pause")
          expect(submitted).toContain(step.job);
      }
    }
  });
});
