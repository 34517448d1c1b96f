import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { sleepWorkflow } from "@genga/testing";
import pg from "pg";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

const leaseMs = 12_000;
/** After a claim that takes so long, less of the lease is left than a POST may take; the next heartbeat comes before its end. */
const claimS = 7.1;

let stack: TestStack;
let client: pg.Client;

beforeAll(async () => {
  stack = await startTestStack({ env: { LEASE_MS: String(leaseMs) } });
  client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await client.end();
  await stack.stop();
}, 180_000);

test("a job whose claim took most of its lease is posted once the lease was renewed, and not taken for lost", async () => {
  await client.query(`
    CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${claimS}); RETURN NEW; END $$;
    CREATE TRIGGER take_long BEFORE UPDATE ON jobs FOR EACH ROW
      WHEN (OLD.status = 'queued' AND NEW.status = 'processing' AND NEW.attempt = 1) EXECUTE FUNCTION take_long()`);
  const id = await stack.api.submit({ type: "workflow", workflow: sleepWorkflow(0.1) });
  expect(await stack.api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
}, 180_000);
