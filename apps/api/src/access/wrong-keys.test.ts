import { expect, test } from "@jest/globals";
import { WrongKeys } from "./wrong-keys.ts";

const perMinute = 5;
function open(): { keys: WrongKeys; pass: (ms: number) => void } {
  let time = 1_000_000;
  const keys = new WrongKeys({ perMinute, now: () => time });
  return {
    keys,
    pass: (ms) => {
      time += ms;
    },
  };
}
const fail = (keys: WrongKeys, address: string, times = perMinute): void => {
  for (let count = 0; count < times; count += 1) keys.noteWrong(address);
};

test("an address that sent several wrong keys waits for the rest of the minute, other addresses do not", () => {
  const { keys, pass } = open();
  fail(keys, "192.0.2.7", perMinute - 1);
  expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(0);
  fail(keys, "192.0.2.7", 1);
  // One key is checked each second.
  expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(0);
  expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(60);
  expect(keys.secondsToWait("192.0.2.8", "guess")).toBe(0);
  pass(1_000);
  expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(0);
  expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(59);
  pass(59_000);
  for (let looks = 0; looks < 3; looks += 1) expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(0);
});

test("a key that was valid from this address within the last hour is never held up, until it stops working", () => {
  const { keys } = open();
  keys.noteRight("192.0.2.7", "honest");
  fail(keys, "192.0.2.7");
  keys.secondsToWait("192.0.2.7", "guess");
  for (let looks = 0; looks < 3; looks += 1) expect(keys.secondsToWait("192.0.2.7", "honest")).toBe(0);
  // From another address it counts as any other key.
  fail(keys, "198.51.100.1");
  keys.secondsToWait("198.51.100.1", "guess");
  expect(keys.secondsToWait("198.51.100.1", "honest")).toBe(60);
  keys.forget("192.0.2.7", "honest");
  expect(keys.secondsToWait("192.0.2.7", "honest")).toBe(60);
});

test.each([
  ["2001:db8::1", "2001:db8:0:0:ffff::2", true],
  ["2001:DB8:0:0:1::", "2001:db8::1", true],
  ["2001:db8:0:1::1", "2001:db8::1", false],
  ["::ffff:192.0.2.7", "192.0.2.7", true],
  ["fe80::1%eth0", "fe80::2%eth1", true],
])("%s and %s count as one client: %s", (one, other, areOne) => {
  const { keys } = open();
  fail(keys, one);
  keys.secondsToWait(other, "guess");
  expect(keys.secondsToWait(other, "guess") > 0).toBe(areOne);
});

test("many addresses together are held up as well, in bounded memory", () => {
  const { keys } = open();
  for (let address = 0; address < 200_000; address += 1) {
    keys.noteWrong(`10.${address >> 16}.${(address >> 8) & 255}.${address & 255}`);
  }
  keys.secondsToWait("192.0.2.7", "guess");
  expect(keys.secondsToWait("192.0.2.7", "guess")).toBe(60);
  // The first addresses were forgotten, so only the limit for all addresses together holds them up.
  fail(keys, "10.0.0.0", 1);
  expect(keys.secondsToWait("10.0.0.0", "guess")).toBe(60);
});
