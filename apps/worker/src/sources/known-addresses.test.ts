import { expect, test } from "@jest/globals";
import { KnownAddresses } from "./known-addresses.ts";

test("an answer that lacks a family once makes no machine two servers; a family that is gone for good is followed", () => {
  const known = new KnownAddresses();
  expect(known.note(["10.0.0.2", "10.0.0.1"])).toBe(true);
  expect(known.note(["fd00::1", "fd00::2"])).toBe(false);
  expect(known.all).toEqual(["10.0.0.1", "10.0.0.2"]);
  expect(known.note(["10.0.0.1", "10.0.0.2"])).toBe(false);
  expect(known.note(["fd00::1", "fd00::2"])).toBe(false);
  expect(known.note(["fd00::1", "fd00::2"])).toBe(true);
  expect(known.all).toEqual(["fd00::1", "fd00::2"]);
});

test("there are never more addresses than may be known, also while those of the last answer still count", () => {
  const addressesOf = (machine: number): string[] =>
    Array.from({ length: 800 }, (_, index) => `10.${machine}.${Math.floor(index / 256)}.${index % 256}`);
  const known = new KnownAddresses();
  known.note(addressesOf(1));
  expect(known.note(addressesOf(2))).toBe(true);
  expect(known.size).toBe(1_000);
  known.note(addressesOf(2));
  expect(known.all.toSorted()).toEqual(addressesOf(2).toSorted());
});
