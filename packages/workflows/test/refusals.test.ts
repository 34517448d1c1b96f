import { describe, expect, test } from "@jest/globals";
import { InvalidJobError, type JobProblem, type JobType } from "@genga/jobs";
import { createWorkflowResolver, type KnownServer } from "@genga/workflows";
import { everything, recordedGraph, serverWith, withList } from "./recorded-servers.ts";

const models = (...names: string[]): typeof everything =>
  withList(everything, "CheckpointLoaderSimple", "ckpt_name", names);

function server(id: string, labels: string[], ...names: string[]): KnownServer {
  return { ...serverWith(id, models(...names)), labels };
}

/** @returns none if the job was accepted */
async function problemsOf(
  servers: KnownServer[],
  job: { type?: JobType; parameters?: object; requires?: string[] },
): Promise<JobProblem[]> {
  const resolver = createWorkflowResolver({ definitions: () => Promise.resolve(servers) });
  const { type = "image", parameters = { prompt: "x", model: "a.safetensors" }, requires } = job;
  const outcome = await resolver
    .resolve(type, parameters, undefined, undefined, requires)
    .catch((error: unknown) => error);
  return outcome instanceof InvalidJobError ? outcome.problems : [];
}

describe("labels that a job requires", () => {
  const big = server("big", ["gpu:24gb", "pool:day"], "a.safetensors");
  const night = server("night", ["pool:night"], "b.safetensors");

  test("are accepted when one server has all of them and can run the job", async () => {
    expect(await problemsOf([night, big], { requires: ["gpu:24gb", "pool:day"] })).toEqual([]);
    expect(await problemsOf([], { requires: ["gpu:24gb"] })).toEqual([]);
  });

  test("are refused when no server has them, with those that exist", async () => {
    expect(await problemsOf([big, night], { requires: ["gpu:24gb", "gpu:80gb"] })).toEqual([
      {
        path: "requires",
        code: "unknown-label",
        message: "No known server has the label gpu:80gb. Labels of servers: gpu:24gb, pool:day, pool:night.",
        received: ["gpu:24gb", "gpu:80gb"],
        accepted: ["gpu:24gb", "pool:day", "pool:night"],
      },
    ]);
    expect(await problemsOf([server("plain", [], "a.safetensors")], { requires: ["fast"] })).toMatchObject([
      { message: "No known server has the label fast. No server has labels." },
    ]);
  });

  test("are refused when no server has all of them together", async () => {
    expect(await problemsOf([big, night], { requires: ["gpu:24gb", "pool:night"] })).toMatchObject([
      { message: expect.stringMatching(/^No known server has all of the labels gpu:24gb, pool:night\./) },
    ]);
  });

  test("are named beside a model that only other servers have", async () => {
    expect(await problemsOf([big, night], { requires: ["pool:night"] })).toMatchObject([
      { path: "model", code: "unknown-model", accepted: ["b.safetensors"] },
      { path: "requires", message: "Only servers without the labels pool:night can run this." },
    ]);
  });

  test("do not hide what else is wrong", async () => {
    const parameters = { prompt: "x", model: "none.safetensors" };
    const problems = await problemsOf([big], { parameters, requires: ["gpu:80gb"] });
    expect(problems.map(({ path }) => path)).toEqual(["requires", "model"]);
  });
});

describe("a model that no server has", () => {
  const many = Array.from({ length: 60 }, (_, index) => `other-model-number-${index}.safetensors`);

  test("is answered with the nearest names of all servers first", async () => {
    const servers = [server("a", [], ...many), server("b", [], ...many, "Counterfeit-V3.0.safetensors")];
    const parameters = { prompt: "x", model: "counterfeit_v3.safetensors" };
    const [problem] = await problemsOf(servers, { parameters });
    expect(problem?.message).toContain("Available: Counterfeit-V3.0.safetensors, ");
    expect(problem?.accepted).toHaveLength(50);
  });

  test("is answered so in a client's graph as well", async () => {
    const workflow = recordedGraph("sd15-image");
    const servers = [server("a", [], ...many, "counterfeit_v3.safetensor")];
    const [problem] = await problemsOf(servers, { type: "workflow", parameters: { workflow } });
    expect(problem).toMatchObject({ code: "unknown-model" });
    expect(problem?.message).toMatch(/ Nearest: "counterfeit_v3\.safetensor", /);
  });
});
