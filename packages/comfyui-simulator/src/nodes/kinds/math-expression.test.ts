import { expect, test } from "@jest/globals";
import { PythonFloat, pythonText, type PythonValue } from "../../python/python-values.ts";
import { evaluateExpression } from "./math-expression.ts";

const names = new Map<string, PythonValue>([
  ["a", 5],
  ["b", new PythonFloat(2.5)],
]);

// The first was seen on a real server; the others are Python's arithmetic.
test.each([
  ["max(a, 3) ** 2 // 2 + round(2.5) - -7 % 3", "12"],
  ["a / 2", "2.5"],
  ["a // 2 * 2", "4"],
  ["-a // 2", "-3"],
  ["2 ** -1", "0.5"],
  ["a > 3 and b", "2.5"],
  ["not a", "False"],
  ["18446744073709551615 + 1", "18446744073709551616"],
  ["int(b) + ceil(b) + floor(b)", "7"],
])("%s is %s", (expression, value) => {
  expect(pythonText(evaluateExpression(expression, names))).toBe(value);
});

test.each([
  ["1 / 0", "division by zero"],
  ["zz + 1", "'zz' is not defined for expression 'zz + 1'"],
  ["zz(1)", "Function 'zz' not defined, for expression 'zz(1)'."],
  ["(1", "invalid syntax"],
  ["1 2", "invalid syntax"],
  [`${"(".repeat(500)}1${")".repeat(500)}`, "maximum recursion depth exceeded"],
])("%s is refused", (expression, message) => {
  expect(() => evaluateExpression(expression, names)).toThrow(message);
});
