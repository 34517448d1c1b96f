import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema } from "@genga/comfyui";
import { InvalidJobError } from "@genga/jobs";
import { createWorkflowResolver, type KnownServer } from "@genga/workflows";

const image = { input: { required: {} }, output: ["IMAGE"] };
const save = { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true };
const server: KnownServer = {
  id: "a",
  definitionsHash: "a",
  objectInfo: objectInfoSchema.parse({ Save: save, Draw: image, LoadFromUrl: image }),
  replacements: { OldLoad: { newClass: "LoadFromUrl", inputs: [], outputs: [] } },
};

interface Rules {
  denied: string[];
  allowed?: string[];
}

/** The codes and messages with which a graph of this class is refused. */
async function refusalsOf(
  classType: string,
  { denied, allowed = [] }: Rules,
  { servers = [server], operates = false }: { servers?: KnownServer[]; operates?: boolean } = {},
): Promise<string[]> {
  const resolver = createWorkflowResolver({
    definitions: () => Promise.resolve(servers),
    nodeClasses: { denied, allowed },
  });
  const workflow = {
    "1": { class_type: classType, inputs: {} },
    "2": { class_type: "Save", inputs: { images: ["1", 0] } },
  };
  try {
    await resolver.resolve("workflow", { workflow }, { tenantId: "b", operates });
    return [];
  } catch (error) {
    if (error instanceof InvalidJobError)
      return error.problems.map(({ code, message }) => `${code}: ${message}`);
    throw error;
  }
}

describe("a class of nodes that is denied", () => {
  test("is refused with its name and the setting, whether or not a server has it", async () => {
    const refusal =
      "denied-node-class: Node 1: LoadFromUrl is denied here by NODE_CLASSES_DENIED; an operator can allow it with the setting NODE_CLASSES_ALLOWED.";
    expect(await refusalsOf("LoadFromUrl", { denied: ["load*URL"] })).toEqual([refusal]);
    expect(await refusalsOf("LoadFromUrl", { denied: ["*url*"] }, { servers: [] })).toEqual([refusal]);
  });

  test("is refused where a server would make it of a class that it no longer has", async () => {
    expect(await refusalsOf("OldLoad", { denied: ["LoadFromUrl"] })).toEqual([
      "denied-node-class: Node 1: a server replaces OldLoad by LoadFromUrl, which is denied here by NODE_CLASSES_DENIED; an operator can allow it with the setting NODE_CLASSES_ALLOWED.",
    ]);
    expect(await refusalsOf("OldLoad", { denied: ["LoadFromFolder"] })).toEqual([]);
  });

  test("may be submitted with a key that operates", async () => {
    expect(await refusalsOf("LoadFromUrl", { denied: ["*"] }, { operates: true })).toEqual([]);
  });

  test.each<[string, Rules, boolean]>([
    ["its own name", { denied: ["LoadFromUrl"] }, true],
    ["its name in another case", { denied: ["LOADFROMURL"] }, true],
    ["a part of its name, without stars", { denied: ["FromUrl", "LoadFrom"] }, false],
    ["a pattern for its beginning", { denied: ["Load*"] }, true],
    ["a pattern for its end", { denied: ["*Url"] }, true],
    ["a pattern whose pieces overlap in it", { denied: ["LoadFrom*FromUrl"] }, false],
    ["a pattern whose pieces stand in another order", { denied: ["*Url*Load*"] }, false],
    ["no pattern", { denied: [] }, false],
    ["all, and an exception", { denied: ["*"], allowed: ["*FromUrl", "Save"] }, false],
    ["all, and exceptions for others", { denied: ["*"], allowed: ["Draw", "Save"] }, true],
  ])("is told by %s", async (_how, rules, isRefused) => {
    expect((await refusalsOf("LoadFromUrl", rules)).length > 0).toBe(isRefused);
  });

  test("is told in no time, however long a name and a pattern are", async () => {
    const startedAt = performance.now();
    await refusalsOf("load".repeat(50_000), { denied: ["*load*load*load*load*x*load*"] });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});
