import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { outputFolderKey, outputStorageKey } from "@genga/jobs";
import { sleepWorkflow } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

let stack: TestStack;

beforeAll(async () => {
  stack = await startTestStack({ env: { LEASE_MS: "1500" } });
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

test("a file whose writing was not confirmed is removed when the first lease ends without outputs", async () => {
  const { api } = stack;
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(60) });
  await api.until(id, (job) => job.phase === "executing");
  await storeAs(id, 1);
  expect((await api.request("POST", `jobs/${id}/cancel`)).status).toBe(202);
  expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled" });
  await stack.workers[0]!.line(/files that no row names were removed/);
  await expect(readdir(folderOf(id))).rejects.toThrow("ENOENT");
}, 180_000);

test("files that a worker stored before it died are removed by the one who ends the job, and by its removal", async () => {
  const { api } = stack;
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(2) });
  await api.until(id, (job) => job.phase === "executing");
  await killWorker();
  await storeAs(id, 1);
  const successor = await stack.startWorker();
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  await successor.line(/files that no row names were removed/);
  expect(await readdir(folderOf(id))).toEqual(["1-2"]);
  await storeAs(id, 1);
  expect((await api.request("DELETE", `jobs/${id}`)).status).toBe(204);
  await expect(readdir(folderOf(id))).rejects.toThrow("ENOENT");
}, 180_000);

test("every worker removes half-written files, not only the one that sweeps", async () => {
  const crashed = join(stack.folder, "outputs", ".partial", "crashed");
  await killWorker();
  // A worker looks when it starts, and then every ten minutes. The second one finds the first at work, and looks all the same.
  for (let worker = 1; worker <= 2; worker += 1) {
    await writeFile(crashed, "half");
    await utimes(crashed, new Date(), new Date(Date.now() - 2 * 3_600_000));
    await (await stack.startWorker()).line(/half-written files were removed/);
    await expect(readFile(crashed)).rejects.toThrow("ENOENT");
  }
}, 180_000);

async function killWorker(): Promise<void> {
  const [worker] = stack.workers.splice(0, 1);
  worker!.signal("SIGKILL");
  await worker!.exited;
}

function folderOf(id: string): string {
  return join(stack.folder, "outputs", outputFolderKey(id));
}

/** As a worker leaves it that is killed between a file and the transaction that names it. */
async function storeAs(jobId: string, leaseNumber: number): Promise<void> {
  const key = outputStorageKey({ jobId, attempt: 1, leaseNumber, index: 0, filename: "sleep_00001_.png" });
  const path = join(stack.folder, "outputs", key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "left behind");
}
