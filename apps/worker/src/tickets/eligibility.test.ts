import { expect, test } from "@jest/globals";
import { parseDefinitions } from "@genga/comfyui";
import { laneOf, type Lane } from "@genga/jobs";
import { Eligibility } from "./eligibility.ts";

const needs = { mainModel: null, classTypes: ["Upscaler"], models: [] };
const plain = laneOf(needs, []);
const big = laneOf(needs, ["gpu:24gb"]);

function server(hash: string, classes: string[], labels: string[] = []) {
  const objectInfo = Object.fromEntries(classes.map((name) => [name, {}]));
  return { definitions: { hash, ...parseDefinitions({ objectInfo, replacements: null }) }, labels };
}

/** Answers from a list, and counts the questions. */
function laneStore(...known: Lane[]) {
  const asked: string[][] = [];
  const findLanes = (names: readonly string[]): Promise<Lane[]> => {
    asked.push([...names]);
    return Promise.resolve(known.filter(({ name }) => names.includes(name)));
  };
  return { asked, findLanes };
}

test("a server serves the lanes whose classes and labels it has", async () => {
  const eligibility = new Eligibility(laneStore(plain, big));
  await eligibility.learn([plain.name, big.name]);
  expect(eligibility.mayServe(server("a", ["Upscaler"]), plain.name)).toBe(true);
  expect(eligibility.mayServe(server("a", ["Upscaler"]), big.name)).toBe(false);
  expect(eligibility.mayServe(server("a", ["Upscaler"], ["gpu:24gb"]), big.name)).toBe(true);
  expect(eligibility.mayServe(server("b", ["Saver"], ["gpu:24gb"]), big.name)).toBe(false);
});

test("a verdict follows new definitions and new labels", async () => {
  const eligibility = new Eligibility(laneStore(big));
  await eligibility.learn([big.name]);
  expect(eligibility.mayServe(server("a", []), big.name)).toBe(false);
  expect(eligibility.mayServe(server("b", ["Upscaler"], ["gpu:24gb"]), big.name)).toBe(true);
  expect(eligibility.mayServe(server("b", ["Upscaler"], ["gpu:12gb"]), big.name)).toBe(false);
});

test("a lane without a row may be served by every server that is known, since its jobs are judged one by one", async () => {
  const store = laneStore();
  const eligibility = new Eligibility(store);
  await eligibility.learn(["default"]);
  expect(eligibility.mayServe(server("a", []), "default")).toBe(true);
  expect(eligibility.mayServe({ definitions: null, labels: [] }, "default")).toBe(false);
});

test("the needs of a lane are read once, all that are unknown together", async () => {
  const store = laneStore(plain, big);
  const eligibility = new Eligibility(store);
  await eligibility.learn([plain.name, big.name, "default"]);
  await eligibility.learn([plain.name, big.name, "default"]);
  expect(store.asked).toEqual([[plain.name, big.name, "default"]]);
});
