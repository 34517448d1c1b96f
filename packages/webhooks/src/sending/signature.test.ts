import { describe, expect, test } from "@jest/globals";
import { Webhook } from "standardwebhooks";
import { isSecret, makeSecret, signedHeaders } from "./signature.ts";

// The vectors of the Standard Webhooks libraries and of their documentation.
test.each([
  {
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    seconds: 1_614_265_330,
    body: '{"test": 2432232314}',
    signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  },
  {
    secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
    seconds: 1_649_367_553,
    body: '{"email":"test@example.com","username":"test_user"}',
    signature: "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
  },
])("signs $id as published", ({ secret, id, seconds, body, signature }) => {
  expect(signedHeaders({ id, at: new Date(seconds * 1_000 + 999) }, body, [secret])).toEqual({
    ...{ "webhook-id": id, "webhook-timestamp": String(seconds), "webhook-signature": signature },
  });
});

describe("An independent library", () => {
  const body = JSON.stringify({ type: "job.completed", data: { prompt: "雲の上の灯台 \u2028" } });
  const head = { id: "msg_1", at: new Date() };

  test("verifies what was signed, by each of two secrets during a rotation", () => {
    const [secret, previous] = [makeSecret(), makeSecret()];
    const headers = signedHeaders(head, body, [secret, previous]);
    for (const each of [secret, previous])
      expect(new Webhook(each).verify(body, headers)).toEqual(JSON.parse(body));
  });

  test("refuses another secret, body, id and time", () => {
    const secret = makeSecret();
    const headers = signedHeaders(head, body, [secret]);
    const verify = (by: string, text: string, given: Record<string, string>) => (): unknown =>
      new Webhook(by).verify(text, given);
    expect(verify(makeSecret(), body, headers)).toThrow();
    expect(verify(secret, `${body} `, headers)).toThrow();
    expect(verify(secret, body, { ...headers, "webhook-id": "msg_2" })).toThrow();
    expect(
      verify(secret, body, {
        ...headers,
        "webhook-timestamp": String(Number(headers["webhook-timestamp"]) - 1),
      }),
    ).toThrow();
    const old = signedHeaders({ ...head, at: new Date(Date.now() - 600_000) }, body, [secret]);
    expect(verify(secret, body, old)).toThrow();
  });
});

test("secrets have 24 to 64 bytes in base64", () => {
  const of = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;
  const right = Array.from({ length: 41 }, (_, more) => of(24 + more));
  for (const secret of [makeSecret(), ...right, ...right.map((text) => text.replace(/=+$/, ""))])
    expect([secret, isSecret(secret)]).toEqual([secret, true]);
  const wrong = [
    of(23),
    of(65),
    of(32).slice(6),
    "whsec_",
    `${of(32)}\n`,
    of(32).replace(/.=$/, "B="),
    `whsec_${"a".repeat(33)}`,
    `${of(32)}=`,
    of(25).replace(/==$/, "="),
    of(24).replace(/.$/, "="),
  ];
  for (const text of wrong) expect([text, isSecret(text)]).toEqual([text, false]);
});
