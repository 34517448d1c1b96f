import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { NewestOnly } from "./newest-only.ts";

const intervalMs = 50;

describe("values that come faster than they are wanted", () => {
  let handed: number[];
  let newest: NewestOnly<number>;
  beforeEach(() => {
    jest.useFakeTimers();
    handed = [];
    newest = new NewestOnly({
      intervalMs,
      handOn: (value) => {
        handed.push(value);
      },
    });
  });
  afterEach(() => {
    newest.clear();
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  test("the first is handed on at once, and of those within the interval only the last, at its end", () => {
    for (const value of [1, 2, 3, 4]) newest.note(value);
    expect(handed).toEqual([1]);
    jest.advanceTimersByTime(intervalMs);
    expect(handed).toEqual([1, 4]);
  });

  test("after the last one was handed on, the interval counts again", () => {
    newest.note(1);
    newest.note(2);
    jest.advanceTimersByTime(intervalMs);
    newest.note(3);
    expect(handed).toEqual([1, 2]);
    jest.advanceTimersByTime(intervalMs);
    expect(handed).toEqual([1, 2, 3]);
  });

  test("a value that comes after a quiet interval waits for nothing", () => {
    newest.note(1);
    jest.advanceTimersByTime(2 * intervalMs);
    newest.note(2);
    expect(handed).toEqual([1, 2]);
  });

  test("the one that waits can be had before the end of the interval, and comes once", () => {
    newest.note(1);
    newest.note(2);
    newest.flush();
    newest.flush();
    jest.advanceTimersByTime(10 * intervalMs);
    expect(handed).toEqual([1, 2]);
  });

  test("one that was forgotten never comes", () => {
    newest.note(1);
    newest.note(2);
    newest.clear();
    jest.advanceTimersByTime(10 * intervalMs);
    expect(handed).toEqual([1]);
  });
});
