import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import sharp from "sharp";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// Clients of servers send as much at once as they like.

let api: ApiUnderTest;
const keys = { studio: "key-of-studio", operator: "key-of-operator" };
const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

beforeAll(async () => {
  api = await startApiUnderTest({
    env: {
      API_KEYS: `studio:submit:${keys.studio},farm:operate:${keys.operator}`,
      COMFYUI_DOOR_PORT: "0",
      TENANT_REQUESTS_AT_ONCE: "12",
    },
  });
});
afterAll(async () => {
  await api.stop();
});

async function waiting(): Promise<number> {
  const text = await (await api.request("/metrics", { headers: as(keys.operator) })).text();
  return Number(/^genga_door_requests_waiting\S* (\d+)/m.exec(text)?.[1]);
}

async function pictureForm(): Promise<Buffer> {
  const picture = sharp({ create: { width: 32, height: 32, channels: 3, background: "#405060" } });
  const head =
    '--frame\r\ncontent-disposition: form-data; name="image"; filename="slow.png"\r\n' +
    "content-type: image/png\r\n\r\n";
  const tail = "\r\n--frame--\r\n";
  return Buffer.concat([Buffer.from(head), await picture.png().toBuffer(), Buffer.from(tail)]);
}

test("of twelve uploads at once, four wait until others have arrived without a place of other requests, and none is refused", async () => {
  const form = await pictureForm();
  const sending = Array.from({ length: 12 }, () => {
    const headers = {
      ...as(keys.studio),
      ...{ "content-type": "multipart/form-data; boundary=frame", "content-length": form.length },
    };
    const request = httpRequest(`${api.doorUrl!}/upload/image`, { method: "POST", headers });
    request.write(form.subarray(0, -40));
    return request;
  });
  const statuses = sending.map(async (request) => {
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  });
  const looking = new AbortController();
  const untilFourWait = async (): Promise<string> => {
    while (!looking.signal.aborted && (await waiting()) < 4) await sleep(20);
    return "four wait";
  };
  try {
    expect(await Promise.race([...statuses, untilFourWait()])).toBe("four wait");
    expect((await fetch(`${api.doorUrl!}/queue`, { headers: as(keys.studio) })).status).toBe(200);
    for (const request of sending) request.end(form.subarray(-40));
    expect(await Promise.all(statuses)).toEqual(sending.map(() => 200));
    expect(await waiting()).toBe(0);
  } finally {
    looking.abort();
    for (const request of sending) request.on("error", () => undefined).destroy();
  }
});
