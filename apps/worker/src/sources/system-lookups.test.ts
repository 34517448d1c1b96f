import { expect, test } from "@jest/globals";
import { SystemLookups } from "./system-lookups.ts";

test("names that take too long fail by themselves, keep no other name waiting, and are not looked up twice at once", async () => {
  const begun: string[] = [];
  const answers: (() => void)[] = [];
  const lookups = new SystemLookups({
    timeoutMs: 200,
    lookUp: async (host, family) => {
      begun.push(`${host} ${family}`);
      if (host.startsWith("slow")) await new Promise<void>((resolve) => answers.push(resolve));
      return [`10.0.0.${host.length}`];
    },
  });
  const slow = async (host: string): Promise<void> => {
    await expect(lookups.addressesOf(host)).rejects.toMatchObject({ code: "ETIMEOUT" });
  };
  await slow("slow-1");
  await slow("slow-1");
  expect(await Promise.all(["a", "bb", "ccc"].map((host) => lookups.addressesOf(host)))).toEqual([
    ["10.0.0.1"],
    ["10.0.0.2"],
    ["10.0.0.3"],
  ]);
  // Both threads are taken now. The first that is free is for a name that has not failed.
  await slow("slow-22");
  const order: string[] = [];
  answers[0]?.();
  await expect(lookups.addressesOf("slow-22")).rejects.toThrow();
  const both = ["slow-1", "dddd"].map(async (host) => {
    order.push(...(await lookups.addressesOf(host)));
  });
  await both[1];
  answers[1]?.();
  while (answers.length < 3) await new Promise(setImmediate);
  answers[2]?.();
  await both[0];
  expect(order).toEqual(["10.0.0.4", "10.0.0.6"]);
  expect(begun).toEqual(["slow-1 4", "a 4", "bb 4", "ccc 4", "slow-22 4", "dddd 4", "slow-1 4"]);
});

test("a name without an IPv4 address has its IPv6 addresses; any other error is none of them", async () => {
  const codes = ["ENOTFOUND", "EAI_AGAIN"];
  const outcomes = codes.map(async (code) => {
    const lookUp = (_host: string, family: 4 | 6): Promise<string[]> =>
      family === 6 ? Promise.resolve(["fd00::1"]) : Promise.reject(Object.assign(new Error(code), { code }));
    return await new SystemLookups({ timeoutMs: 10_000, lookUp }).addressesOf("comfyui");
  });
  expect(await Promise.allSettled(outcomes)).toMatchObject([
    { value: ["fd00::1"] },
    { reason: { code: "EAI_AGAIN" } },
  ]);
});
