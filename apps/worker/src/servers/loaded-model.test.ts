import { describe, expect, test } from "@jest/globals";
import { LoadedModel } from "./loaded-model.ts";

const nothing = { lane: null, loadedModel: null, modelSince: null };
const at = (second: number): Date => new Date(second * 1000);

describe("what a server has loaded", () => {
  test("is the model of its last job, since the first job of that model", () => {
    const loaded = new LoadedModel(nothing);
    expect(loaded.noteJob("a-1", "a", at(1))).toBe(true);
    expect(loaded.noteJob("a-1", "a", at(2))).toBe(false);
    expect(loaded.noteJob("a-2", "a", at(3))).toBe(true);
    expect(loaded.current).toEqual({ lane: "a-2", loadedModel: "a", modelSince: at(1) });
    loaded.noteJob("b-1", "b", at(4));
    expect(loaded.current).toEqual({ lane: "b-1", loadedModel: "b", modelSince: at(4) });
  });

  test("stays through jobs without a model", () => {
    const loaded = new LoadedModel({ lane: "a-1", loadedModel: "a", modelSince: at(1) });
    loaded.noteJob("no-model-1", null, at(5));
    expect(loaded.current).toEqual({ lane: "no-model-1", loadedModel: "a", modelSince: at(1) });
  });

  test("is as old as its stay in the default lane, whose jobs load one model after another", () => {
    const loaded = new LoadedModel({ lane: "a-1", loadedModel: "a", modelSince: at(1) });
    loaded.noteJob("default", "a", at(2));
    loaded.noteJob("default", "b", at(3));
    expect(loaded.current).toEqual({ lane: "default", loadedModel: "b", modelSince: at(2) });
    loaded.noteJob("b-1", "b", at(4));
    expect(loaded.current.modelSince).toEqual(at(2));
  });

  test("is forgotten", () => {
    const loaded = new LoadedModel({ lane: "a-1", loadedModel: "a", modelSince: at(1) });
    expect(loaded.forget()).toBe(true);
    expect(loaded.forget()).toBe(false);
    expect(loaded.current).toEqual(nothing);
  });
});

test("an execution loads when the one before it had another model", () => {
  const loaded = new LoadedModel(nothing);
  expect(loaded.noteExecution(null)).toBe(false);
  expect(loaded.noteExecution("a")).toBeNull();
  expect(loaded.noteExecution("a")).toBe(false);
  expect(loaded.noteExecution(null)).toBe(false);
  expect(loaded.noteExecution("b")).toBe(true);
  loaded.forget();
  expect(loaded.noteExecution("b")).toBeNull();
});
