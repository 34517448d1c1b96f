import { describe, expect, test } from "@jest/globals";
import { placeJob, type PlaceableServer } from "./placement.ts";

const job = { checkpoint: "a.safetensors", avoidServerId: null };
const server = (id: string, more: Partial<PlaceableServer> = {}): PlaceableServer => ({
  id,
  slots: 2,
  jobsHeld: 0,
  checkpoint: null,
  ...more,
});

describe("a job is placed", () => {
  test("on an empty server rather than into a second slot", () => {
    expect(placeJob(job, [server("busy", { jobsHeld: 1 }), server("empty")], [])?.id).toBe("empty");
  });

  test("into a second slot when no other server is empty", () => {
    expect(placeJob(job, [server("busy", { jobsHeld: 1 })], [])?.id).toBe("busy");
  });

  test("nowhere while another worker's server is empty", () => {
    expect(placeJob(job, [server("busy", { jobsHeld: 1 })], [{ id: "elsewhere" }])).toBeNull();
  });

  test("nowhere when all slots are taken", () => {
    expect(placeJob(job, [server("full", { jobsHeld: 2 })], [])).toBeNull();
  });

  test("where its checkpoint is loaded, among empty servers", () => {
    const servers = [
      server("other", { checkpoint: "b.safetensors" }),
      server("same", { checkpoint: "a.safetensors" }),
    ];
    expect(placeJob(job, servers, [])?.id).toBe("same");
  });

  test("not where it failed last, when there is another server", () => {
    const again = { ...job, avoidServerId: "same" };
    const servers = [server("same", { checkpoint: "a.safetensors" }), server("other")];
    expect(placeJob(again, servers, [])?.id).toBe("other");
    expect(placeJob(again, [server("same")], [])?.id).toBe("same");
  });

  test("in a free second slot of another server rather than on the empty server where it ran out of memory", () => {
    const again = { ...job, avoidServerId: "failed", ranOutOfMemory: true };
    const servers = [server("failed"), server("busy", { jobsHeld: 1 })];
    expect(placeJob(again, servers, [])?.id).toBe("busy");
  });

  test("on the empty server where it failed for another reason rather than behind a running job", () => {
    const again = { ...job, avoidServerId: "failed" };
    const servers = [server("failed"), server("busy", { jobsHeld: 1 })];
    expect(placeJob(again, servers, [])?.id).toBe("failed");
  });

  test("nowhere while another worker's server is empty and the only own empty one is where it failed last", () => {
    const again = { ...job, avoidServerId: "failed" };
    expect(placeJob(again, [server("failed")], [{ id: "elsewhere" }])).toBeNull();
    const servers = [server("failed"), server("busy", { jobsHeld: 1 })];
    expect(placeJob(again, servers, [{ id: "elsewhere" }])).toBeNull();
  });

  test("where it failed last, when all other servers are full", () => {
    const again = { ...job, avoidServerId: "failed" };
    const servers = [server("failed"), server("full", { jobsHeld: 2 })];
    expect(placeJob(again, servers, [])?.id).toBe("failed");
  });

  test("where it failed last, when the only empty server of another worker is that one", () => {
    const again = { ...job, avoidServerId: "failed" };
    expect(placeJob(again, [server("failed")], [{ id: "failed" }])?.id).toBe("failed");
  });
});
