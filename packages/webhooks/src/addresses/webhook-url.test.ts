import { describe, expect, test } from "@jest/globals";
import { AddressRules } from "./address-rules.ts";
import { urlProblem, type UrlRules } from "./webhook-url.ts";

const strict: UrlRules = { allowHttp: false, addresses: new AddressRules() };
const open: UrlRules = { allowHttp: true, addresses: new AddressRules(["127.0.0.0/8"]) };

describe("A webhook's URL is refused", () => {
  test.each([
    ["another protocol", "ftp://example.com/", /https:/],
    ["http", "http://example.com/", /https:/],
    ["no URL", "example.com/hook", /not a URL/],
    ["a user", "https://user@example.com/", /user or a password/],
    ["a password", "https://:secret@example.com/", /user or a password/],
    ["a fragment", "https://example.com/#hook", /fragment/],
    ["a line break, which could end a header", "https://example.com/\r\nhost: inner", /control character/],
    ["a line break within the host", "https://exam\nple.com/", /control character/],
    ["a tab", "https://example.com/\t", /control character/],
    ["a backslash", "https:\\\\example.com\\@127.0.0.1/", /backslash/],
    ["a space", " https://example.com/", /space/],
    ["too many characters", `https://example.com/${"a".repeat(2_000)}`, /characters/],
    ["a port of mail", "https://example.com:25/", /port 25/],
    ["a port of Redis", "https://example.com:6379/", /port 6379/],
    ["a private address", "https://10.0.0.1/", /address/],
    ["an address of this machine", "https://127.0.0.1/", /address/],
    ["a decimal address", "https://2130706433/", /address/],
    ["a hexadecimal address", "https://0x7f000001/", /address/],
    ["an octal address", "https://0177.0.0.1/", /address/],
    ["a short address", "https://127.1/", /address/],
    ["an address with a dot at its end", "https://127.0.0.1./", /address/],
    ["an address in wide digits", "https://１２７.0.0.1/", /address/],
    ["an address of IPv6", "https://[::1]/", /address/],
    ["an address of IPv4 within IPv6", "https://[::ffff:169.254.169.254]/", /address/],
    ["an encoded address", "https://%31%32%37.0.0.1/", /address/],
    ["this machine by name", "https://localhost/", /address/],
    ["this machine by a longer name", "https://hooks.localhost./", /address/],
  ])("with %s", (_name, url, expected) => {
    expect(urlProblem(url, strict)).toMatch(expected);
  });
});

test("a name in letters beyond ASCII is allowed, however many URLs were judged before", () => {
  let problems = 0;
  for (let count = 0; count < 50_000; count += 1)
    if (urlProblem("https://bücher.example/", strict) !== null) problems += 1;
  expect(problems).toBe(0);
});

test("other URLs are allowed", () => {
  for (const url of [
    "https://example.com/hook?key=1",
    "https://example.com:8443/",
    "https://8.8.8.8/",
    "https://bücher.example/",
  ])
    expect([url, urlProblem(url, strict)]).toEqual([url, null]);
  for (const url of ["http://example.com/", "http://127.0.0.1:9000/hook", "http://localhost:9000/"])
    expect([url, urlProblem(url, open)]).toEqual([url, null]);
  expect(urlProblem("http://10.0.0.1/", open)).toMatch(/address/);
});
