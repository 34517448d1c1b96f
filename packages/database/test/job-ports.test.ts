import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  describeAttemptEnds,
  describeJobAnnouncer,
  describeJobReader,
  describeJobRequests,
  describeJobRuns,
} from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

const runner = { afterAll, beforeAll, describe, expect, test };

describe("The jobs on PostgreSQL", () => {
  describe("their reader", () => {
    describeJobReader(runner, openTestStores);
  });
  describe("their requests", () => {
    describeJobRequests(runner, openTestStores);
  });
  describe("their announcer", () => {
    describeJobAnnouncer(runner, openTestStores);
  });
  describe("their runs", () => {
    describeJobRuns(runner, openTestStores);
    describeAttemptEnds(runner, openTestStores);
  });
});
