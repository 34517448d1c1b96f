import { describe, expect, test } from "@jest/globals";
import { type HeldTicket, type Job } from "@genga/jobs";
import { buildProgress, buildWorkflow } from "@genga/testing";
import { Run } from "../src/job/run.ts";
import { ServerNames } from "../src/files/server-names.ts";

const jobId = "0190a5c2-0000-7000-8000-000000000001";
const ticket: HeldTicket = { jobId, attempt: 2, ticketNumber: 3, lane: "default" };

const moment = new Date(0);
const job: Job = {
  ...{
    id: jobId,
    tenantId: "tenant",
    batchId: null,
    batchIndex: null,
    key: null,
    openDependencies: 0,
    type: "image",
    project: null,
    scene: null,
    shot: null,
    tags: [],
    requires: [],
  },
  ...{ status: "processing", phase: "executing", priority: "normal", lane: "default", rank: 1 },
  ...{ attempt: 2, attemptsCharged: 0, attemptsMax: 1, outOfMemoryCount: 0, crashCount: 0, leaseNumber: 3 },
  ...{
    serverId: "server",
    promptId: "prompt",
    progress: buildProgress(10),
    failure: null,
    warnings: [],
    timeoutMs: 1_000,
  },
  ...{ eventSequence: 4, cancelRequestedAt: null, cancelTooLate: false, runAt: null, enqueuedAt: null },
  ...{ ticketNumber: 3, agedBands: 0, pausedAt: null },
  ...{ expiresAt: null, createdAt: moment, startedAt: moment, finishedAt: null },
};

function adoptedRun(): Run {
  return aRun({ wasAdopted: true });
}

function aRun({ wasAdopted, workflow = buildWorkflow() }: { wasAdopted: boolean; workflow?: string }): Run {
  const leased = {
    ...{ jobId, attempt: 2, leaseNumber: 3, promptId: "prompt", clientId: "client", serverId: "server" },
    ...{
      tenantSecret: new Uint8Array(32),
      extraDataText: null,
      hasExtraData: false,
      inputs: [],
      sealedExtraData: null,
      workflow,
      parameters: null,
      executionElapsedMs: null,
      expiresInMs: null,
    },
    job,
  };
  return new Run({ leased, ticket: null, wasAdopted, leaseMs: 1_000, leasedSince: 0 });
}

test("an adopted run shows the uploads that its graph names as clients know them, though it did not send them", () => {
  const picture = `genga/${"ab".repeat(32)}.png`;
  const workflow = JSON.stringify({ "1": { class_type: "LoadImage", inputs: { image: picture } } });
  const run = aRun({ wasAdopted: true, workflow });
  const place = new ServerNames(run.leased, []).uploadPlace(picture)!;
  expect(run.shownText(`Invalid image file: ${place.subfolder}/${place.filename}`)).toBe(
    `Invalid image file: ${picture}`,
  );
});

describe("the ticket of a run", () => {
  test("is kept when it comes by after an adoption, and again after its lock had run out", () => {
    const run = adoptedRun();
    expect(run.keepTicket(ticket)).toBe(true);
    expect(run.keepTicket({ ...ticket })).toBe(true);
    expect(run.letTicketGo()).toEqual(ticket);
  });

  test("of another attempt is not kept", () => {
    expect(adoptedRun().keepTicket({ ...ticket, attempt: 1 })).toBe(false);
  });

  test("is not kept once the run has let go, while it still tidies up: nobody would ever finish it", () => {
    const run = adoptedRun();
    expect(run.letTicketGo()).toBeNull();
    expect(run.keepTicket(ticket)).toBe(false);
  });
});

describe("whether a run's prompt may have begun", () => {
  const sent = (ahead: Run[] = [], isBehindOthers = false): Run => {
    const run = adoptedRun();
    run.notePost(ahead, isBehindOthers);
    run.wasSent = true;
    return run;
  };

  test("is certain once it was heard of, and possible as soon as it was sent to an empty server", () => {
    const run = adoptedRun();
    expect(run.mayHaveBegun).toBe(false);
    run.isExecuting = true;
    expect(run.mayHaveBegun).toBe(true);
    expect(sent().mayHaveBegun).toBe(true);
  });

  test("is out of the question while another prompt is in front of it", () => {
    const [first, second] = [sent(), sent()];
    const third = sent([first, second]);
    third.noteGone(first);
    expect(third.mayHaveBegun).toBe(false);
    third.noteGone(second);
    expect(third.mayHaveBegun).toBe(true);
  });

  test("is not assumed where other clients' prompts are or were on the server", () => {
    expect(sent([], true).mayHaveBegun).toBe(false);
    const run = sent();
    run.noteOthers();
    expect(run.mayHaveBegun).toBe(false);
  });
});

describe("a crash before the first message of a prompt", () => {
  test("may be the fault of a prompt that was sent, with nothing in front of it", () => {
    const run = aRun({ wasAdopted: false });
    run.notePost([], false);
    expect(run.mayHaveBegun).toBe(false);
    run.wasSent = true;
    expect(run.mayHaveBegun).toBe(true);
  });

  test.each([
    ["adopted", adoptedRun],
    [
      "still on its way",
      () => {
        const run = aRun({ wasAdopted: false });
        run.mayStillArrive = true;
        return run;
      },
    ],
  ])("is not held against one that was sent behind one that was %s, until that is gone", (_name, make) => {
    const first = make();
    const second = aRun({ wasAdopted: false });
    second.notePost(
      [first].filter((run) => run.mayBeOnServer),
      false,
    );
    second.wasSent = true;
    expect(second.mayHaveBegun).toBe(false);
    second.noteGone(first);
    expect(second.mayHaveBegun).toBe(true);
  });
});
