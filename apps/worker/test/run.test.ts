import { describe, expect, test } from "@jest/globals";
import { type Run } from "../src/job/run.ts";
import { ServerNames } from "../src/files/server-names.ts";
import { aRun, ticket } from "./support/a-run.ts";

function adoptedRun(): Run {
  return aRun({ wasAdopted: true });
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
