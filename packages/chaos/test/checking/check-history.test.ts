import { describe, expect, test } from "@jest/globals";
import { checkHistory } from "../../src/checking/check-history.ts";
import { repeatedRenders, rendersPerJob } from "../../src/checking/check-executions.ts";
import { type Forgery, violationsAfter, violationsOf } from "./forgery.ts";
import { answer, cancelledHistory, event, goodHistory, row, write } from "./true-history.ts";

describe("a history that keeps every promise", () => {
  test("passes, with a repeated render that its server explains", () => {
    expect(checkHistory(goodHistory())).toEqual([]);
    expect(repeatedRenders(goodHistory())).toEqual([{ jobId: "job-1", cause: "prompt-lost", at: 4_000 }]);
    expect(rendersPerJob(goodHistory())).toEqual(new Map([[2, 1]]));
  });

  test("passes when a cancelled job was asked for again, and rendered at once", () => {
    const history = goodHistory();
    const [, , , lost, claimed] = history.writes;
    lost!.after = row({ ...lost!.after, status: "cancelled" });
    claimed!.before = row({ ...claimed!.before, sequence: 6 });
    history.executions[1]!.at = 5_100;
    history.writes.splice(4, 0, write(4_950, "api-1", lost!.after, claimed!.before));
    expect(violationsOf(history).filter((rule) => rule.startsWith("executions"))).toEqual([]);
  });

  test("passes when a job was cancelled and its server let go first", () => {
    expect(checkHistory(cancelledHistory())).toEqual([]);
  });
});

describe("batches, files and processes: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "a batch that counts a job twice",
      /batch: batch batch-1 counts 2 completed jobs, and 1 were found/,
      (history) => (history.batches[0]!.counts["completed"] = 2),
    ],
    [
      "a batch that lost a job",
      /batch: batch batch-1 has 3 jobs, and 2 were found/,
      (history) => (history.batches[0]!.total = 3),
    ],
    [
      "a job that was accepted twice",
      /submission: r0j0 was accepted 2 times: job-1, job-2/,
      (history) => history.jobs.push({ ...history.jobs[0]!, id: "job-2" }),
    ],
    [
      "a repeated submission that was answered with another id",
      /submission: r0j0 was answered with different ids: job-1; job-2/,
      (history) => history.submissions[0]!.answers.push(["job-2"]),
    ],
    [
      "a job that began before one that it depends on had completed",
      /dependencies: it was claimed \(2\) before job job-1 had completed/,
      (history) =>
        history.jobs.push({ ...history.jobs[0]!, id: "job-2", name: "r0j1", dependsOn: ["job-1"] }),
    ],
    [
      "a job that failed because of others, which have all completed",
      /dependencies: it failed because of jobs that it depends on, and all of them have completed/,
      (history) => {
        const failure = { class: "dependency", code: "dependency-failed", message: "job-1 failed" };
        const end = { status: "failed" as const, phase: null, attempt: 0, sequence: 2, percent: 0, failure };
        const events = [event(1, "accepted", 0), event(2, "failed", 0)];
        const changes = {
          id: "job-2",
          name: "r0j1",
          dependsOn: ["job-1"],
          finalAnswers: [answer(end)],
          events,
        };
        history.jobs.push({ ...history.jobs[0]!, ...changes });
      },
    ],
    [
      "a process that died",
      /process: worker-1 ended by itself/,
      (history) => history.deaths.push("worker-1 ended by itself"),
    ],
    [
      "a file that its writer left behind",
      /files: jobs\/job-1\/2-3\/0-b.png was stored, no output names it/,
      (history) => {
        const name = "jobs/job-1/2-3/0-b.png";
        history.orphans.push({ name, jobId: "job-1", attempt: 2, leaseNumber: 3 });
      },
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });
});
