import {
  comparable,
  isTruthy,
  narrow,
  PythonFloat,
  pythonRepr,
  pythonTypeName,
  toPythonFloat,
  toPythonInt,
  type PythonValue,
} from "../../python/python-values.ts";
import { NodeException } from "../node-run.ts";

type Names = ReadonlyMap<string, PythonValue>;

/**
 * The value of an expression of `ComfyMathExpression`: numbers, names, arithmetic, comparisons, `and`/`or`/`not`, and the
 * functions that the real node offers. @throws NodeException for what Python would raise
 */
export function evaluateExpression(expression: string, names: Names): PythonValue {
  const parser = new Parser(expression, names);
  return parser.whole();
}

const tokenPattern = /\s*(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+|[A-Za-z_]\w*|\*\*|\/\/|<=|>=|==|!=|[-+*/%()<>,])/gy;
const depthMax = 200;

function tokensOf(expression: string): string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  const text = expression.trim();
  while (tokenPattern.lastIndex < text.length) {
    const found = tokenPattern.exec(text);
    if (found === null) throw new NodeException("SyntaxError", "invalid syntax");
    tokens.push(found[1] ?? "");
  }
  return tokens;
}

const operatorLevels: readonly (readonly string[])[] = [
  ["or"],
  ["and"],
  ["<", "<=", ">", ">=", "==", "!="],
  ["+", "-"],
  ["*", "/", "//", "%"],
];

class Parser {
  readonly #expression: string;
  readonly #tokens: readonly string[];
  readonly #names: Names;
  #at = 0;
  #depth = 0;

  constructor(expression: string, names: Names) {
    this.#expression = expression;
    this.#tokens = tokensOf(expression);
    this.#names = names;
  }

  whole(): PythonValue {
    const value = this.#level(0);
    if (this.#at < this.#tokens.length) throw new NodeException("SyntaxError", "invalid syntax");
    return value;
  }

  #level(index: number): PythonValue {
    const operators = operatorLevels[index];
    if (operators === undefined) return this.#unary();
    let left = this.#level(index + 1);
    for (let token = this.#peek(); operators.includes(token); token = this.#peek()) {
      this.#at += 1;
      left = applied(token, left, this.#level(index + 1));
    }
    return left;
  }

  #unary(): PythonValue {
    if (++this.#depth > depthMax)
      throw new NodeException("RecursionError", "maximum recursion depth exceeded");
    try {
      const token = this.#peek();
      if (token === "-" || token === "+" || token === "not") {
        this.#at += 1;
        const value = this.#unary();
        if (token === "not") return !isTruthy(value);
        return token === "-" ? applied("-", 0, value) : applied("+", 0, value);
      }
      const base = this.#atom();
      if (this.#peek() !== "**") return base;
      this.#at += 1;
      return applied("**", base, this.#unary());
    } finally {
      this.#depth -= 1;
    }
  }

  #atom(): PythonValue {
    const token = this.#take();
    if (token === "(") {
      const value = this.#level(0);
      this.#expect(")");
      return value;
    }
    if (/^[.\d]/.test(token)) return /[.e]/.test(token) ? new PythonFloat(Number(token)) : toPythonInt(token);
    if (!/^\w/.test(token)) throw new NodeException("SyntaxError", "invalid syntax");
    if (this.#peek() === "(") return called(token, this.#argumentsOf(), this.#expression);
    if (token === "True" || token === "False") return token === "True";
    const value = this.#names.get(token);
    if (value === undefined) {
      throw new NodeException(
        "simpleeval.NameNotDefined",
        `'${token}' is not defined for expression '${this.#expression}'`,
      );
    }
    return value;
  }

  #argumentsOf(): PythonValue[] {
    this.#expect("(");
    const values: PythonValue[] = [];
    while (this.#peek() !== ")") {
      values.push(this.#level(0));
      if (this.#peek() === ",") this.#at += 1;
      else if (this.#peek() !== ")") throw new NodeException("SyntaxError", "invalid syntax");
    }
    this.#at += 1;
    return values;
  }

  #peek(): string {
    return this.#tokens[this.#at] ?? "";
  }

  #take(): string {
    this.#at += 1;
    return this.#tokens[this.#at - 1] ?? "";
  }

  #expect(token: string): void {
    if (this.#take() !== token) throw new NodeException("SyntaxError", "invalid syntax");
  }
}

function applied(operator: string, left: PythonValue, right: PythonValue): PythonValue {
  if (operator === "or") return isTruthy(left) ? left : right;
  if (operator === "and") return isTruthy(left) ? right : left;
  const [a, b] = [comparable(left), comparable(right)];
  if (a === undefined || b === undefined) {
    const types = `'${pythonTypeName(left)}' and '${pythonTypeName(right)}'`;
    throw new NodeException("TypeError", `unsupported operand type(s) for ${operator}: ${types}`);
  }
  if (operator === "<") return a < b;
  if (operator === "<=") return a <= b;
  if (operator === ">") return a > b;
  if (operator === ">=") return a >= b;
  if (operator === "==" || operator === "!=") return (a <= b && b <= a) === (operator === "==");
  const isFloat = left instanceof PythonFloat || right instanceof PythonFloat;
  if (["/", "//", "%"].includes(operator) && Number(b) === 0) {
    throw new NodeException("ZeroDivisionError", "division by zero");
  }
  if (isFloat || operator === "/" || (operator === "**" && b < 0)) {
    return new PythonFloat(floating(operator, Number(a), Number(b)));
  }
  return narrow(whole(operator, BigInt(a), BigInt(b)));
}

function floating(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "//":
      return Math.floor(a / b);
    case "%":
      return a - b * Math.floor(a / b);
    default:
      return a ** b;
  }
}

const exponentMax = 4_000;

function whole(operator: string, a: bigint, b: bigint): bigint {
  const quotient =
    operator === "//" || operator === "%" ? a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n) : 0n;
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "//":
      return quotient;
    case "%":
      return a - b * quotient;
    default:
      if (b > exponentMax) throw new NodeException("ValueError", "Exponent too large");
      return a ** b;
  }
}

const realFunctions: Readonly<Record<string, (value: number) => number>> = {
  sqrt: Math.sqrt,
  log: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
};

function called(name: string, values: readonly PythonValue[], expression: string): PythonValue {
  const [first = 0, second = 0] = values;
  const real = Object.hasOwn(realFunctions, name) ? realFunctions[name] : undefined;
  if (real) return new PythonFloat(real(toPythonFloat(first).value));
  switch (name) {
    case "sum":
      return values.reduce<PythonValue>((total, value) => applied("+", total, value), 0);
    case "min":
      return values.reduce((least, value) => (applied("<", value, least) === true ? value : least), first);
    case "max":
      return values.reduce((most, value) => (applied(">", value, most) === true ? value : most), first);
    case "abs":
      return applied("<", first, 0) === true ? applied("-", 0, first) : first;
    case "pow":
      return applied("**", first, second);
    case "round":
      return values.length > 1
        ? rounded(toPythonFloat(first).value, Number(toPythonInt(second)))
        : nearest(first);
    case "ceil":
      return toPythonInt(new PythonFloat(Math.ceil(toPythonFloat(first).value)));
    case "floor":
      return toPythonInt(new PythonFloat(Math.floor(toPythonFloat(first).value)));
    case "int":
      return toPythonInt(first);
    case "float":
      return toPythonFloat(first);
    default:
      throw new NodeException(
        "simpleeval.FunctionNotDefined",
        `Function ${pythonRepr(name)} not defined, for expression '${expression}'.`,
      );
  }
}

/** Python rounds a half to the even neighbour. */
function nearest(value: PythonValue): PythonValue {
  const number = toPythonFloat(value).value;
  const below = Math.floor(number);
  const isHalf = number - below === 0.5;
  return toPythonInt(new PythonFloat(isHalf ? below + (below % 2 === 0 ? 0 : 1) : Math.round(number)));
}

function rounded(value: number, digits: number): PythonFloat {
  return new PythonFloat(Number(value.toFixed(Math.min(100, Math.max(0, digits)))));
}
