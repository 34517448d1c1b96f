import { expect, test } from "@jest/globals";
import {
  objectInfo,
  objectInfoNames,
  transcript,
  transcriptNames,
  workflow,
  workflowNames,
} from "./index.ts";

test("lists what was recorded of each version", () => {
  expect(transcriptNames("0.3.64")).toContain("02-success");
  expect(transcriptNames("0.28")).toContain("41-success-then-cached");
  expect(objectInfoNames("0.28")).toEqual(expect.arrayContaining(["core", "more-core", "recording-nodes"]));
  expect(workflowNames("0.3.64")).toContain("rejected/missing-checkpoint");
});

test.each(["0.3.64", "0.28"] as const)("every transcript and definition of %s can be read", (version) => {
  for (const name of transcriptNames(version)) {
    expect(JSON.parse(transcript(version, name))).toHaveProperty("events");
  }
  for (const name of objectInfoNames(version)) {
    expect(Object.keys(JSON.parse(objectInfo(version, name)) as object)).not.toEqual([]);
  }
});

test("every graph can be read", () => {
  for (const name of workflowNames("0.3.64")) {
    expect(JSON.parse(workflow("0.3.64", name))).toBeInstanceOf(Object);
  }
});
