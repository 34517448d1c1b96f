import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { expect, test } from "@jest/globals";
import express, { type Express } from "express";
import sharp from "sharp";
import { TenantAdmission, type TenantAdmissionParts } from "../../access/tenant-admission.ts";
import { type DoorParts } from "../door-parts.ts";
import { PictureConversions } from "../picture-conversion.ts";
import { view } from "./files.ts";

const principal = { tenant: { id: "studio" } };

/** The tenant's requests at once are limited to `max`. */
function admissionOf(max: number): TenantAdmission {
  let used = 0;
  return new TenantAdmission({
    limits: { of: () => Promise.resolve({ requestsPerMinute: 1_000, requestsAtOnce: max }) },
    admissions: {
      countRequest: () => Promise.resolve(null),
      takePlace: () => {
        if (used >= max) return Promise.resolve({ used });
        used += 1;
        let isHeld = true;
        const release = (): void => {
          if (isHeld) used -= 1;
          isHeld = false;
        };
        return Promise.resolve({ release });
      },
    },
    waiting: { inc: () => undefined, dec: () => undefined },
  } as unknown as TenantAdmissionParts);
}

/** One picture, which is converted when `read` has it. */
function appOf(admission: TenantAdmission, read: () => Promise<Readable>): Express {
  const upload = { id: "u", mediaType: "image/png", bytes: 100, sha256: "0".repeat(64) };
  const parts = {
    admission,
    door: {
      files: { findFile: () => Promise.resolve({ uploadId: "u" }) },
      pictures: new PictureConversions({ read }),
    },
    uploads: { findUploads: () => Promise.resolve([upload]) },
  } as unknown as DoorParts;
  const app = express();
  app.use((_request, response, next) => {
    response.locals["principal"] = principal;
    next();
  });
  app.use(
    admission.admitInTurn((_request, _response, next) => {
      next();
    }),
  );
  app.get("/view", async (request, response) => {
    await view.handle(
      { request, response, principal } as unknown as Parameters<typeof view.handle>[0],
      parts,
    );
  });
  app.get("/queue", (_request, response) => void response.json({}));
  return app;
}

test("pictures that wait to be converted hold no places of their tenant's other requests", async () => {
  const png = await sharp({ create: { width: 16, height: 16, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const goOn: (() => void)[] = [];
  let onRead = (): void => undefined;
  const fourBegan = new Promise<void>((resolve) => {
    onRead = () => {
      if (goOn.length === 4) resolve();
    };
  });
  let isOpen = false;
  const app = appOf(admissionOf(6), async () => {
    await new Promise<void>((resolve) => {
      goOn.push(resolve);
      onRead();
      if (isOpen) resolve();
    });
    return Readable.from([png]);
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const converted = Array.from({ length: 8 }, () => fetch(`${url}/view?filename=a.png&preview=webp`));
    await fourBegan;
    expect((await fetch(`${url}/queue`)).status).toBe(200);
    isOpen = true;
    for (const go of goOn) go();
    expect((await Promise.all(converted)).map(({ status }) => status)).toEqual(converted.map(() => 200));
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
