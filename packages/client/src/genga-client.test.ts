import { expect, test } from "@jest/globals";
import { GengaClient } from "./genga-client.ts";

const baseUrl = "http://127.0.0.1:8328";

test.each(["a-secret\nurl: x", "a-secret…", "a-secret\0"])(
  "a key that no header can have is refused at once, and not told (%j)",
  (apiKey) => {
    const message = "The header authorization has a character that headers cannot have.";
    expect(() => new GengaClient({ baseUrl, apiKey })).toThrow(new TypeError(message));
    const headers = { "x-api-key": apiKey };
    expect(() => new GengaClient({ baseUrl, headers })).toThrow(/^The header x-api-key has/);
  },
);

test("a line break at the end of a key, as files have it, does no harm", () => {
  expect(() => new GengaClient({ baseUrl, apiKey: "a-key\n" })).not.toThrow();
});

test.each(["", ".", ".."])(
  "an id that would ask for something else is refused, and nothing is sent (%j)",
  async (id) => {
    const sent: string[] = [];
    const fetch = ({ url }: Request): Promise<Response> => {
      sent.push(url);
      return Promise.resolve(Response.json({ jobs: [] }));
    };
    const client = new GengaClient({ baseUrl, fetch });
    const message = `"${id}" cannot be the id of ${baseUrl}/api/anime/jobs/{id}.`;
    await expect(client.job(id)).rejects.toThrow(new TypeError(message));
    await expect(client.cancel(id)).rejects.toThrow(TypeError);
    expect(sent).toEqual([]);
  },
);
