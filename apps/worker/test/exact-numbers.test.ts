import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ApiClient, startSimulatorProcess } from "@genga/testing";
import { z } from "zod";
import { startOddStack, type OddStack } from "./support/test-stack.ts";

// From the client's text to what the server was given: no digit is lost, and no float becomes an int.

let stack: OddStack;
let api: ApiClient;

beforeAll(async () => {
  stack = await startOddStack({
    keepsHistory: true,
    env: {
      ...{ LEASE_MS: "1500", SERVER_GRACE_MS: "3000" },
      SECRETS_KEY: "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=",
    },
  });
  ({ api } = stack);
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

const seedMax = "18446744073709551615";
const seedOfFile = "6687881544318117707";

/** JSON text, since `JSON.stringify` could not write these numbers. `PreviewAny` takes anything, and shows it as text. */
function graph(options: { seed: string; seconds?: string; any?: string; fails?: boolean }): string {
  const { seed, seconds = "0.0", any = "1.0" } = options;
  const work = options.fails
    ? `{"class_type":"ProtoFail","inputs":{"image":["1",0],"mode":"value","message":"boom","seed":${seed}}}`
    : `{"class_type":"ProtoSleep","inputs":{"image":["1",0],"seconds":${seconds},"steps":10,"preview":"none","seed":${seed}}}`;
  return `{
    "1": {"class_type":"EmptyImage","inputs":{"width":64,"height":64,"batch_size":1,"color":0}},
    "2": ${work},
    "3": {"class_type":"SaveImage","inputs":{"images":["2",0],"filename_prefix":"exact"}},
    "4": {"class_type":"PreviewAny","inputs":{"source":${any}}}
  }`;
}

const acceptedSchema = z.object({ id: z.string(), warnings: z.array(z.string()) });

async function submit(body: string): Promise<z.infer<typeof acceptedSchema>> {
  const response = await fetch(`${stack.url}/api/anime/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await response.text();
  if (response.status !== 202) throw new Error(text);
  return acceptedSchema.parse(JSON.parse(text));
}

const submitGraph = (workflow: string): Promise<z.infer<typeof acceptedSchema>> =>
  submit(`{"type":"workflow","workflow":${workflow}}`);

/** What the servers were given for each attempt of a job, as their `/history` writes it. */
async function givenTo(id: string): Promise<string[]> {
  const { attempts } = z
    .object({ attempts: z.array(z.object({ promptId: z.string() })) })
    .parse(await (await api.request("GET", `jobs/${id}/attempts`)).json());
  const entries: string[] = [];
  for (const { promptId } of attempts) {
    for (const { url } of stack.simulators) {
      const text = await fetch(`${url}/history/${promptId}`).then(
        (response) => response.text(),
        () => "{}",
      );
      if (text !== "{}") entries.push(text);
    }
  }
  return entries;
}

async function shownWorkflow(id: string): Promise<string> {
  return (await api.request("GET", `jobs/${id}/workflow`)).text();
}

describe("a number of extraData", () => {
  const withExtraData = (extraData: string): Promise<z.infer<typeof acceptedSchema>> =>
    submit(`{"type":"workflow","workflow":${graph({ seed: "1" })},"extraData":${extraData}}`);

  test("reaches the server as it was written, be it open or secret, and is shown as text where JSON would lie", async () => {
    const info = `{"workflow":{"seed":${seedMax}},"scale":1.0}`;
    const { id } = await withExtraData(`{"extra_pnginfo":${info},"partner_number":${seedOfFile}}`);
    expect((await api.untilEnded(id)).status).toBe("completed");
    const [given] = await givenTo(id);
    expect(given).toContain(`"seed": ${seedMax}}`);
    expect(given).toMatch(/"scale": 1\.0[,}]/);
    expect(given).toMatch(new RegExp(`"partner_number": ${seedOfFile}[,}]`));
    const parameters: unknown = await (await api.request("GET", `jobs/${id}/parameters`)).json();
    expect(parameters).toMatchObject({
      parameters: { extraData: { extra_pnginfo: { workflow: { seed: seedMax }, scale: 1 } } },
    });
  });

  test("reaches the server as it was written also when a retry gives it again", async () => {
    const workflow = graph({ seed: "1", fails: true });
    const { id } = await submit(
      `{"type":"workflow","workflow":${workflow},"extraData":{"partner_number":${seedMax}}}`,
    );
    expect((await api.untilEnded(id)).status).toBe("failed");
    const response = await fetch(`${stack.url}/api/anime/jobs/${id}/retry`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"extraData":{"partner_number":${seedOfFile},"scale":1.0}}`,
    });
    expect([response.status, await response.text()]).toEqual([202, expect.anything()]);
    await api.until(id, ({ attempt, status }) => attempt === 2 && status === "failed");
    const given = await givenTo(id);
    expect(given).toHaveLength(2);
    expect(given[1]).toMatch(new RegExp(`"partner_number": ${seedOfFile}[,}]`));
    expect(given[1]).toMatch(/"scale": 1\.0[,}]/);
  });

  test.each([
    [seedMax, "must be an object"],
    [`{"extra_pnginfo":${seedMax}}`, "must be an object"],
    [`{"extra_pnginfo":{"workflow":${seedMax}}}`, "must be an object"],
    [`{"preview_method":${seedMax}}`, "must be a text"],
  ])("is no object and no text, however large it is: %s", async (extraData, message) => {
    await expect(withExtraData(extraData)).rejects.toThrow(message);
  });
});

describe("a number of a graph", () => {
  test.each([seedMax, seedOfFile, `"${seedOfFile}"`, "9007199254740993", "0"])(
    "reaches the server with all its digits: the seed %s",
    async (seed) => {
      const { id, warnings } = await submitGraph(graph({ seed }));
      expect(warnings.filter((text) => /2\^53|round|\d{13,}0{3}/.test(text))).toEqual([]);
      expect((await api.untilEnded(id)).status).toBe("completed");
      const [given] = await givenTo(id);
      // A text is read for an INT input, and kept as the number.
      expect(given).toContain(`"seed": ${seed.replaceAll('"', "")},`);
      expect(given).toContain('"source": 1.0}');
      expect(given).toMatch(/"seconds": 0\.0[,}]/);
      const outputs = await api.outputs(id);
      expect(outputs.map(({ text }) => text)).toContain("1.0");
    },
  );

  test.each([
    ["1", "1"],
    ["1.0", "1.0"],
    ["1e5", "100000.0"],
    ["-0.0", "-0.0"],
    [seedMax, seedMax],
    ["12345678901234567890123", "12345678901234567890123"],
  ])("is what it was for an input that takes anything: %s", async (any, shown) => {
    const { id } = await submitGraph(graph({ seed: "1", any }));
    expect((await api.untilEnded(id)).status).toBe("completed");
    expect((await api.outputs(id)).map(({ text }) => text)).toContain(shown);
    expect((await givenTo(id))[0]).toContain(`"source": ${shown}}`);
  });

  test("is shown to clients as text where a JSON number would lie, and can be sent again like that", async () => {
    const { id } = await submitGraph(graph({ seed: seedMax }));
    const shown = await shownWorkflow(id);
    expect(shown).toMatch(/"seed": ?"18446744073709551615"/);
    expect(shown).toMatch(/"source": ?1\.0/);
    const parameters: unknown = await (await api.request("GET", `jobs/${id}/parameters`)).json();
    expect(parameters).toMatchObject({ parameters: { workflow: { "2": { inputs: { seed: seedMax } } } } });
    const again = await submitGraph(shown);
    expect((await api.untilEnded(again.id)).status).toBe("completed");
    const [given] = await givenTo(again.id);
    expect(given).toContain(`"seed": ${seedMax},`);
    expect(given).toContain('"source": 1.0}');
  });

  test("tells jobs apart that JavaScript could not", async () => {
    const seeds = [seedMax, "18446744073709551614"];
    const jobs = seeds.map((seed) => `{"type":"workflow","workflow":${graph({ seed })}}`);
    const response = await fetch(`${stack.url}/api/anime/batches`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"jobs":[${jobs.join()}]}`,
    });
    const batch = z.object({ jobs: z.array(z.object({ id: z.string() })) }).parse(await response.json());
    for (const [index, { id }] of batch.jobs.entries()) {
      expect((await api.untilEnded(id)).status).toBe("completed");
      expect((await givenTo(id))[0]).toContain(`"seed": ${seeds[index]},`);
    }
  });
});

describe("the seed of a picture", () => {
  test.each([seedMax, `"${seedMax}"`])("may be %s", async (seed) => {
    const { id } = await submit(
      `{"type":"image","prompt":"a cat","seed":${seed},"cfg":7.0,"steps":2,"width":256.0,"height":256}`,
    );
    expect((await api.untilEnded(id)).status).toBe("completed");
    expect((await givenTo(id))[0]).toContain(`"seed": ${seedMax}`);
    const parameters: unknown = await (await api.request("GET", `jobs/${id}/parameters`)).json();
    expect(parameters).toMatchObject({ parameters: { seed: seedMax, cfg: 7, width: 256 } });
  });
});

describe("no digit is lost on the way of a job that", () => {
  test("is tried again", async () => {
    const { id } = await submitGraph(graph({ seed: seedMax, any: "1e5", fails: true }));
    expect((await api.untilEnded(id)).status).toBe("failed");
    expect((await api.request("POST", `jobs/${id}/retry`)).status).toBe(202);
    await api.until(id, ({ attempt, status }) => attempt === 2 && status === "failed");
    const given = await givenTo(id);
    expect(given).toHaveLength(2);
    for (const text of given) {
      expect(text).toContain(`"seed": ${seedMax}`);
      expect(text).toContain('"source": 100000.0}');
    }
  });

  test("another worker adopts, and submits again after its server was lost as well", async () => {
    const { id } = await submitGraph(graph({ seed: seedMax, seconds: "3.0", any: "1e5" }));
    await api.until(id, (job) => job.phase === "executing");
    const [simulator] = stack.simulators.splice(0, 1);
    for (const service of [stack.workers[0]!, simulator!]) {
      service.signal("SIGKILL");
      await service.exited;
    }
    stack.simulators.push(await startSimulatorProcess([...simulator!.args]));
    await stack.startWorker();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
    const given = await givenTo(id);
    expect(given).toHaveLength(1);
    expect(given[0]).toContain(`"seed": ${seedMax}`);
    expect(given[0]).toContain('"source": 100000.0}');
    expect(given[0]).toMatch(/"seconds": 3\.0[,}]/);
  }, 180_000);

  test("another worker adopts and watches to its end", async () => {
    const { id } = await submitGraph(graph({ seed: seedOfFile, seconds: "4.0" }));
    await api.until(id, (job) => job.phase === "executing");
    const worker = stack.workers.at(-1)!;
    worker.signal("SIGKILL");
    await worker.exited;
    await stack.startWorker();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect((await givenTo(id))[0]).toContain(`"seed": ${seedOfFile}`);
    expect(await shownWorkflow(id)).toMatch(new RegExp(`"seed": ?"${seedOfFile}"`));
  }, 180_000);
});
