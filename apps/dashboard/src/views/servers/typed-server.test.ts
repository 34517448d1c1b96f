import { expect, test } from "@jest/globals";
import { bodyOf, emptyServer } from "./typed-server.ts";

const url = "http://gpu-3:8188";

test.each([
  ["a URL alone", { url: ` ${url} ` }, { url }],
  ["slots and labels", { url, slots: " 3 ", labels: ["gpu:24gb"] }, { url, slots: 3, labels: ["gpu:24gb"] }],
  ["what is no number as it was typed", { url, slots: "3.5x" }, { url, slots: "3.5x" }],
  [
    "a user and a password, as they were typed",
    { url, kind: "basic", user: "studio", password: " s3cret " },
    { url, authorization: { basic: { user: "studio", password: " s3cret " } } },
  ],
  [
    "a token without the line break that was copied with it",
    { url, kind: "bearer", token: "t0ken\n" },
    { url, authorization: { bearer: { token: "t0ken" } } },
  ],
  [
    "a name, and nothing that was typed before it was chosen",
    { url, kind: "named", credential: "gateway", token: "t0ken" },
    { url, credential: "gateway" },
  ],
] as const)("a new server is sent with %s", (_what, typed, body) => {
  expect(bodyOf({ ...emptyServer, ...typed })).toEqual(body);
});
