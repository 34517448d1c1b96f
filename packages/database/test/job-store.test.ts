import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { describeJobStore } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

describe("The job store on PostgreSQL", () => {
  describeJobStore({ afterAll, beforeAll, describe, expect, test }, openTestStores);
});
