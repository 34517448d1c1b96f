import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type SocketClient } from "@genga/testing";
import { type DoorRoute } from "../../../../api/src/comfyui-door/door-route.ts";
import { doorRoutes } from "../../../../api/src/comfyui-door/routes/table.ts";
import { doorCases, names } from "./door-cases.ts";
import {
  askAll,
  namesake,
  owner,
  startDoorNeighbours,
  whosePicture,
  type DoorNeighbours,
  type DoorTenant,
} from "./door-neighbours.ts";
import { leaksIn, withoutDigits, type Seen } from "./what-is-seen.ts";

// Two tenants on the door for ComfyUI's clients that have the same prompt ids, client ids and names of files; and for each
// route two tenants that have nothing: one that asked before the others came, and one that asks when they are there. The
// latter's key has the highest role, which must not help it.

const early = (id: string): string => `key-of-early-${id}`;
const late = (id: string): string => `key-of-late-${id}`;
const strangerKey = "key-of-a-stranger";
let neighbours: DoorNeighbours;
const sockets = new Map<DoorTenant | "stranger", SocketClient>();
const secrets = new Map<DoorTenant, string[]>();
const before = new Map<string, Seen[]>();
let ownersThings: string;

beforeAll(async () => {
  neighbours = await startDoorNeighbours([
    { key: strangerKey, role: "submit" },
    ...doorRoutes.flatMap(({ id }) => [
      { key: early(id), role: "submit" },
      { key: late(id), role: "operate" },
    ]),
  ]);
  const { door } = neighbours;
  for (const route of withCase) before.set(route.id, await askAll(door, route, early(route.id)));
  sockets.set("stranger", await neighbours.connect(strangerKey));
  for (const tenant of [owner, namesake]) sockets.set(tenant, await neighbours.connect(tenant.key));
  // At the same time.
  await Promise.all([owner, namesake].map((tenant) => neighbours.settle(tenant, sockets.get(tenant)!)));
  for (const tenant of [owner, namesake]) {
    await neighbours.keepBusy(tenant);
    secrets.set(tenant, await neighbours.secretsOf(tenant));
  }
  ownersThings = await neighbours.thingsOf(owner);
}, 180_000);
afterAll(async () => {
  await Promise.all([...sockets.values()].map((socket) => socket.close()));
  await neighbours.stop();
}, 180_000);

const withCase = doorRoutes.filter(({ id }) => Object.hasOwn(doorCases, id));
const ofKind = (kind: string): [name: string, route: DoorRoute][] =>
  withCase
    .filter(({ id }) => doorCases[id]?.kind === kind)
    .map((route) => [`${route.method} ${route.path}`, route]);

/** Answers as far as two tenants that have nothing may compare them. */
const plain = (seen: readonly Seen[]): unknown[] =>
  seen.map(({ status, headers, text }) => [
    status,
    withoutDigits(JSON.stringify(headers)),
    withoutDigits(text),
  ]);
const leaks = (seen: readonly Seen[], of: DoorTenant): string[] =>
  seen.flatMap((each) => leaksIn(each, secrets.get(of)!));
const thingsOfBoth = (): Promise<string[]> =>
  Promise.all([owner, namesake].map((tenant) => neighbours.thingsOf(tenant)));
/** How often answers name what both tenants have. */
const told = (seen: readonly Seen[]): unknown[] => {
  const all = [names.drawing, names.upload, names.mask.name, ...Object.values(names.prompts)];
  return seen.map(({ status, text }) => [status, ...all.map((name) => text.split(name).length - 1)]);
};

test("each route of the door has a case, which asks that route", () => {
  expect(Object.keys(doorCases).toSorted()).toEqual(doorRoutes.map(({ id }) => id).toSorted());
  for (const { id, path } of doorRoutes) {
    const shape = new RegExp(`^${path.replaceAll(/:\w+/g, "[^/?]+")}(\\?|$)`);
    for (const asked of doorCases[id]!.asks(new Blob([])))
      expect([id, asked.path]).toEqual([id, expect.stringMatching(shape)]);
  }
});

test("on sockets with one client id each tenant hears of its own prompts alone", async () => {
  const heardBy = async (tenant: DoorTenant | "stranger"): Promise<Seen> => {
    const texts = sockets.get(tenant)!.heard.map(async ({ type, data, bytes }) => {
      return `${type} ${JSON.stringify(data)} ${bytes === undefined ? "" : await whosePicture(bytes)}`;
    });
    return { status: 101, headers: {}, text: (await Promise.all(texts)).join("\n") };
  };
  for (const [tenant, other] of [
    [owner, namesake],
    [namesake, owner],
  ] as const) {
    const heard = await heardBy(tenant);
    expect(leaks([heard], other)).toEqual([]);
    expect(heard.text).toContain(`a picture of ${tenant.word}`);
    expect(heard.text).toContain(`["${tenant.word}"]`);
    for (const id of [names.prompts.saved, names.prompts.spoken, names.prompts.framed]) {
      const types = sockets
        .get(tenant)!
        .of(id)
        .map(({ type }) => type);
      const ofEnds = types.filter((type) => type === "execution_start" || type === "execution_success");
      expect(ofEnds).toEqual(["execution_start", "execution_success"]);
    }
  }
  for (const { type, data } of sockets.get("stranger")!.heard)
    expect([type, data["status"]]).toEqual(["status", { exec_info: { queue_remaining: 0 } }]);
});

test.each(ofKind("shows"))(
  "%s shows each tenant its own things alone, under the same names",
  async (_name, route) => {
    const [ofOwner, ofNamesake] = [
      await askAll(neighbours.door, route, owner.key),
      await askAll(neighbours.door, route, namesake.key),
    ];
    expect([leaks(ofOwner, namesake), leaks(ofNamesake, owner)]).toEqual([[], []]);
    expect(told(ofNamesake)).toEqual(told(ofOwner));
    // There is something to be seen.
    expect(plain(ofOwner)).not.toEqual(plain(before.get(route.id)!));
  },
);

test.each(ofKind("common"))("%s answers all tenants alike", async (_name, route) => {
  const thingsBefore = await thingsOfBoth();
  for (const { key } of [owner, namesake]) {
    const seen = await askAll(neighbours.door, route, key);
    expect(plain(seen)).toEqual(plain(before.get(route.id)!));
  }
  expect(await thingsOfBoth()).toEqual(thingsBefore);
});

test.each(ofKind("changes"))("%s changes the things of the tenant that asks alone", async (_name, route) => {
  await neighbours.keepBusy(namesake);
  const [ownersBefore, thingsBefore] = await thingsOfBoth();
  const seen = await askAll(neighbours.door, route, namesake.key);
  expect(seen.map(({ status }) => status)).toEqual(seen.map(() => 200));
  expect(leaks(seen, owner)).toEqual([]);
  // There was something to be changed.
  expect(await neighbours.thingsOf(namesake)).not.toBe(thingsBefore);
  expect(await neighbours.thingsOf(owner)).toBe(ownersBefore);
});

describe("a tenant that has nothing", () => {
  test.each(withCase.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "is answered at %s as before others were there, whatever names it knows",
    async (_name, route) => {
      await neighbours.keepBusy(namesake);
      const thingsBefore = await thingsOfBoth();
      const seen = await askAll(neighbours.door, route, late(route.id));
      expect(plain(seen)).toEqual(plain(before.get(route.id)!));
      expect([leaks(seen, owner), leaks(seen, namesake)]).toEqual([[], []]);
      expect(await thingsOfBoth()).toEqual(thingsBefore);
    },
  );

  test("hears nothing of any of this, and the owner nothing of an end of its own", async () => {
    expect(await neighbours.thingsOf(owner)).toBe(ownersThings);
    const { running, waiting } = names.prompts;
    const ofOwner = sockets.get(owner)!;
    await ofOwner.until(({ type, data }) => type === "execution_start" && data["prompt_id"] === running);
    const types = [running, waiting].flatMap((id) => ofOwner.of(id).map(({ type }) => type));
    expect(types.filter((type) => /interrupted|error|success/.test(type))).toEqual([]);
    expect(new Set(sockets.get("stranger")!.heard.map(({ type }) => type))).toEqual(new Set(["status"]));
  });
});
