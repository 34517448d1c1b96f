import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";

import {
  ExactNumber,
  numberOf,
  parseExactJson,
  parsePythonJson,
  roundNumbers,
  stringifyExactJson,
  toClientJson,
  toClientJsonText,
} from "./exact-json.ts";

const seedMax = "18446744073709551615";

describe("an exact number", () => {
  test("knows ints from floats and gives all digits of an int", () => {
    const seed = new ExactNumber(seedMax);
    expect(seed.isFloat).toBe(false);
    expect(seed.toBigInt()).toBe(2n ** 64n - 1n);
    expect(new ExactNumber("1.0").isFloat).toBe(true);
    expect(new ExactNumber("1e5").toNumber()).toBe(100_000);
    expect(new ExactNumber("1e400").toNumber()).toBe(Infinity);
  });

  test("is text for clients where a JSON number would lie, and a plain number elsewhere", () => {
    const shown = {
      ints: [seedMax, "-9007199254740993"],
      floats: ["1.0", "-2e3", "1e300"],
      beyond: ["1e400"],
    };
    const numbers = Object.values(shown).map((texts) => texts.map((text) => new ExactNumber(text)));
    expect(JSON.stringify(numbers)).toBe(`[["${seedMax}","-9007199254740993"],[1,-2000,1e+300],["1e400"]]`);
  });

  test("takes nothing but a JSON number", () => {
    for (const text of ["", "01", "1.", ".5", "+1", "0x10", "1,2", '1","a":"', "NaN", " 1", "1\n"]) {
      expect(() => new ExactNumber(text)).toThrow(SyntaxError);
    }
  });

  test("is a number to those who want one", () => {
    expect([2, new ExactNumber("1.0"), "3", null].map(numberOf)).toEqual([2, 1, undefined, undefined]);
  });
});

describe("exact JSON", () => {
  test.each([
    seedMax,
    "6687881544318117707",
    "-9223372036854775808",
    "9007199254740993",
    "9007199254740992",
    "1.0",
    "1.000",
    "0.0",
    "-0.0",
    "1e5",
    "1E5",
    "1.5e1",
    "1e-400",
    "1e400",
    "-1e400",
    "0.99999999999999999",
    "123456789.99999999999",
    "9007199254740993.5",
    "1".repeat(400),
  ])("keeps %s as it was written, wherever it stands", (text) => {
    for (const json of [text, `[${text}]`, `{"a":{"b":[[],${text},1]}}`]) {
      expect(stringifyExactJson(parseExactJson(json))).toBe(json);
    }
    expect(parseExactJson(` ${text} `)).toEqual(new ExactNumber(text));
  });

  test.each([
    "0",
    "-1",
    "0.5",
    "9007199254740991",
    "-9007199254740991",
    "1.5",
    "1e-7",
    "1.23456789012345678",
    "2.5e0",
  ])("leaves %s to JavaScript", (text) => {
    expect(parseExactJson(text)).toBe(Number(text));
  });

  test("leaves strings and keys alone, whatever is in them", () => {
    const value = {
      "1.0": "1.0",
      'a"1.0': '\\" 1e5 \\\\',
      "18446744073709551615": ["18446744073709551615", "\\"],
      n: 1,
    };
    expect(parseExactJson(JSON.stringify(value))).toEqual(value);
    expect(parseExactJson(`{"\\\\":"\\\\\\"",  "1.0" : 1.0 }`)).toEqual({
      "\\": '\\"',
      "1.0": new ExactNumber("1.0"),
    });
  });

  test("reads keys as JSON.parse does: the last of two, and __proto__ as a key like any other", () => {
    expect(stringifyExactJson(parseExactJson('{"a":1.0,"a":2.0,"b":3.0,"b":"x"}'))).toBe('{"a":2.0,"b":"x"}');
    const read = parseExactJson('{"__proto__":{"polluted":1.0},"x":{"__proto__":2.0}}');
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    expect(stringifyExactJson(read)).toBe('{"__proto__":{"polluted":1.0},"x":{"__proto__":2.0}}');
  });

  test("refuses what JSON.parse refuses, in its words", () => {
    for (const text of [
      "",
      "{",
      "[1.0,]",
      "{1.0:1}",
      "01.0",
      "1.",
      "[NaN]",
      '{"a":1.0} x',
      '"\n1.0"',
      "[1.0",
      "1e",
    ]) {
      const strict = messageOf(() => JSON.parse(text));
      expect(strict).toBeDefined();
      expect(messageOf(() => parseExactJson(text))).toBe(strict);
    }
  });

  test("reads a hundred thousand nested lists, and refuses as many open brackets", () => {
    const [open, close] = ["[".repeat(100_000), "]".repeat(100_000)];
    let depth = 0;
    for (let value = parseExactJson(`${open}1.0${close}`); Array.isArray(value); value = value[0]) depth += 1;
    expect(depth).toBe(100_000);
    expect(() => parseExactJson(`${open}1.0`)).toThrow(SyntaxError);
    expect(() => parsePythonJson(`${open}NaN`)).toThrow(SyntaxError);
  });

  test("is JSON.parse and JSON.stringify for values without such numbers", () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        fc.pre(!/\d{16}|\de\+/.test(json));
        expect(stringifyExactJson(JSON.parse(json))).toBe(JSON.stringify(JSON.parse(json)));
        expect(JSON.stringify(roundNumbers(parseExactJson(json)))).toBe(JSON.stringify(JSON.parse(json)));
      }),
    );
    expect(stringifyExactJson({ a: undefined, b: [undefined, NaN], c: new Date(0) })).toBe(
      '{"b":[null,null],"c":"1970-01-01T00:00:00.000Z"}',
    );
    expect(stringifyExactJson({ a: undefined, b: [undefined, NaN, new ExactNumber("1.0")] })).toBe(
      '{"b":[null,null,1.0]}',
    );
  });

  test("writes any JSON as it was read", () => {
    const digits = fc.stringMatching(/^(0|[1-9]\d{0,24})$/);
    const number = fc
      .tuple(
        fc.constantFrom("", "-"),
        digits,
        fc.stringMatching(/^(|\.\d{1,20}|\.0{1,4})$/),
        fc.stringMatching(/^(|[eE][-+]?\d{1,3})$/),
      )
      .map((parts) => parts.join(""));
    const { json } = fc.letrec<{ json: string }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 5 },
        number,
        fc.string().map((text) => JSON.stringify(text)),
        fc.constantFrom("true", "false", "null"),
        fc.array(tie("json")).map((items) => `[${items.join()}]`),
        fc.uniqueArray(fc.tuple(fc.string(), tie("json")), { selector: ([key]) => key }).map(asObject),
      ),
    }));
    fc.assert(
      fc.property(json, (text) => {
        const read = parseExactJson(text);
        const written = stringifyExactJson(read);
        // What JavaScript reads without a change it may write in another way: 1.50 as 1.5.
        expect(stringifyExactJson(parseExactJson(written))).toBe(written);
        expect(numbersOf(written)).toEqual(
          numbersOf(text)
            .map((one) => (changes(one) ? one : JSON.stringify(Number(one))))
            .sort(),
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe("for clients", () => {
  const graph = `{"seed": ${seedMax}, "text": "${seedMax} 1.0", "cfg": 8.0, "list": [1e400, -9007199254740993, 7]}`;

  test("a value holds text where a JSON number would lie", () => {
    const expected = {
      ...{ seed: seedMax, text: `${seedMax} 1.0`, cfg: 8 },
      list: ["1e400", "-9007199254740993", 7],
    };
    expect(toClientJson(parseExactJson(graph))).toEqual(expected);
    const plain = { seed: 1, list: [0.5] };
    expect(toClientJson(plain)).toBe(plain);
  });

  test("a text keeps everything else as it was written", () => {
    expect(toClientJsonText(graph)).toBe(
      `{"seed": "${seedMax}", "text": "${seedMax} 1.0", "cfg": 8.0, "list": ["1e400", "-9007199254740993", 7]}`,
    );
    expect(toClientJsonText('{"a": 1}')).toBe('{"a": 1}');
  });

  test("numbers can be rounded as JavaScript would have read them", () => {
    expect(roundNumbers(parseExactJson(graph))).toEqual(JSON.parse(graph));
    const plain = { seed: 1 };
    expect(roundNumbers(plain)).toBe(plain);
  });
});

describe("JSON from Python", () => {
  test("may hold NaN and infinities, which are read as such", () => {
    expect(
      parsePythonJson(
        '{"a": [NaN, Infinity, -Infinity], "b": {"c": NaN}, "d": 1.0, "e": 18446744073709551615}',
      ),
    ).toEqual({
      a: [NaN, Infinity, -Infinity],
      b: { c: NaN },
      d: 1,
      e: 2 ** 64,
    });
    expect(parsePythonJson("NaN")).toBe(NaN);
  });

  test("keeps such words inside of strings and keys", () => {
    expect(parsePythonJson('{"NaN": "NaN \\" Infinity", "x": NaN}')).toEqual({
      NaN: 'NaN " Infinity',
      x: NaN,
    });
    expect(parsePythonJson('["NaN"]')).toEqual(["NaN"]);
  });

  test("is refused where it is no JSON otherwise", () => {
    for (const text of [
      "[NaN",
      "[+NaN]",
      "[nan]",
      "[NaNs]",
      "[--Infinity]",
      '["NaN]',
      "{NaN: 1}",
      "",
      "[Infinity,]",
    ]) {
      expect(() => parsePythonJson(text)).toThrow(SyntaxError);
    }
  });
});

function asObject(members: [string, string][]): string {
  return `{${members.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join()}}`;
}

/** Every number of a JSON text in order; integer keys move to the front of an object, so the order is by text. */
function numbersOf(text: string): string[] {
  return (text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").match(/-?\d[\d.eE+-]*/g) ?? []).sort();
}

function changes(text: string): boolean {
  return /[.eE]/.test(text)
    ? Number.isInteger(Number(text)) || !Number.isFinite(Number(text))
    : !Number.isSafeInteger(Number(text));
}

function messageOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    return error instanceof SyntaxError ? error.message : `no SyntaxError: ${String(error)}`;
  }
}
