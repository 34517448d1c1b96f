import { expect, test } from "@jest/globals";
import { countExercises } from "../src/figures/exercises.ts";
import { event, goodHistory } from "./checking/true-history.ts";

test("what a run has exercised is counted from its history", () => {
  const history = goodHistory();
  const [job] = history.jobs;
  const image = { kind: "image", width: 64, height: 64, steps: 2, seed: 7 } as const;
  const others = ["a", "b"].map((name, index) => ({
    ...{ ...job!, id: `job-${index + 2}`, name: `r0j${index + 2}`, dependsOn: ["job-1"] },
    spec: { ...image, model: `${name}.safetensors` },
    events: [event(1, "accepted", 0), event(2, "paused", 0), event(3, "priority_changed", 0)],
  }));
  job!.spec = { ...image, model: "a.safetensors" };
  history.jobs.push(...others);
  for (const [index, { id }] of others.entries()) {
    const promptId = `prompt-${index + 3}`;
    history.attempts.push({ ...history.attempts[1]!, jobId: id, promptId });
    history.executions.push({ ...history.executions[1]!, promptId });
  }
  history.attempts[0] = { ...history.attempts[0]!, failureCode: "taken-back" };
  expect(Object.fromEntries(countExercises(history))).toEqual({
    "jobs paused": 2,
    "lanes paused": 1,
    "priorities changed": 2,
    // On the second server: a, a, b.
    "models changed": 1,
    "jobs run by their labels": 1,
    "jobs run after others": 0,
    "outputs read by other jobs": 0,
    "submissions replayed": 1,
    "prompts taken back": 1,
  });
});
