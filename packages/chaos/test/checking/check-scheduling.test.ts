import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter } from "./forgery.ts";
import { lane, server } from "./true-history.ts";

/** The first attempt's prompt was taken back from its server, which did not begin to execute it. */
const takeBack: Forgery[2] = (history) => {
  history.attempts[0] = { ...history.attempts[0]!, failureCode: "taken-back" };
  history.executions = history.executions.filter(({ promptId }) => promptId !== "prompt-1");
  history.troubles = [];
};

describe("lanes, servers and chains: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "a job that was claimed while its lane was paused",
      /lanes: it was claimed at 1970-01-01T00:00:05.000Z while its lane no-model-0123456789ab was paused/,
      (history) => (history.laneChanges[1]!.at = 5_100),
    ],
    [
      "a job that was claimed in a lane whose pause never ended",
      /lanes: it was claimed at .* while its lane/,
      (history) => history.laneChanges.pop(),
    ],
    [
      "a pause that was accepted and not stored",
      /lanes: the pause of lane no-model-0123456789ab was accepted, and is not stored/,
      (history) => (history.laneChanges = []),
    ],
    [
      "a job on a server without its label",
      /placement: attempt 1 was on http:\/\/127.0.0.1:1, which is not labelled gpu:24gb/,
      (_, job) => (job.requires = ["gpu:24gb"]),
    ],
    [
      "a job on a server without its checkpoint",
      /placement: attempt 2 was on http:\/\/127.0.0.1:2, which does not have a.safetensors/,
      (_, job) => {
        job.spec = { kind: "image", width: 64, height: 64, steps: 2, seed: 7, model: "a.safetensors" };
      },
    ],
    [
      "a job on a server that the farm does not have",
      /placement: attempt 1 was on http:\/\/127.0.0.1:1, which is none of the servers/,
      (history) => (history.servers = history.servers.filter(({ url }) => url !== server)),
    ],
    [
      "a chain whose next step a server executed before its source had ended",
      /dependencies: http:\/\/127.0.0.1:1 began to execute it before job job-0 had completed \(prompt prompt-1\)/,
      (history, job) => {
        const events = job.events.map((event) => ({ ...event, createdAt: 1_000 * event.sequence }));
        history.jobs.push({ ...job, id: "job-0", name: "r0j9", dependsOn: [], events });
        job.dependsOn = ["job-0"];
      },
    ],
    [
      "a job that was executed twice because of a take-back",
      /take-backs: attempt 1 was taken back from http:\/\/127.0.0.1:1, which executed it \(prompt prompt-1\)/,
      (history, job) => {
        const executions = [...history.executions];
        takeBack(history, job);
        history.executions = executions;
        history.troubles = [{ kind: "unreachable", serverUrl: server, from: 1_000, to: 9_000 }];
      },
    ],
    [
      "a job that was taken back from two servers in a row",
      /take-backs: attempts 1 and 2 were both taken back/,
      (history, job) => {
        takeBack(history, job);
        const failed = { outcome: "requeued", failureClass: "server", failureCode: "taken-back" };
        history.attempts[1] = { ...history.attempts[1]!, ...failed, serverUrl: "http://127.0.0.1:2" };
      },
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });

  const pardoned: Forgery[] = [
    ["a prompt that was taken back while it waited", /./, takeBack],
    [
      "a prompt of a server that has lost its memory since",
      /take-backs/,
      (history, job) => {
        const executions = [...history.executions];
        takeBack(history, job);
        history.executions = executions;
        history.troubles = [{ kind: "memory-lost", serverUrl: server, from: 3_000, to: 3_000 }];
      },
    ],
    ["a pause that was refused", /lanes/, (history) => (history.laneRequests[0]!.httpStatus = 503)],
    [
      "a pause that another request had ended before its answer came",
      /lanes/,
      (history) => {
        history.laneChanges = [
          { lane, at: 900, isPaused: true },
          { lane, at: 950, isPaused: false },
        ];
        history.laneRequests[0]!.endedAt = 960;
      },
    ],
    [
      "a claim in another lane",
      /lanes/,
      (history) => {
        history.laneChanges[1]!.at = 9_000;
        for (const write of history.writes) write.lane = "another";
      },
    ],
  ];

  test.each(pardoned)("but not %s", (_what, rule, forge) => {
    expect(violationsAfter(forge).filter((message) => rule.test(message))).toEqual([]);
  });
});
