import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { describeServerStore } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

describe("The server store on PostgreSQL", () => {
  describeServerStore({ afterAll, beforeAll, describe, expect, test }, openTestStores);
});
