import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Role, roles } from "@genga/jobs";
import { ApiClient, type JobAnswer } from "@genga/testing";
import { v7 as uuidv7 } from "uuid";
import { fullPath } from "../../../../api/src/http/paths.ts";
import { comfyRoutes } from "../../../../api/src/routes/comfy-table.ts";
import { routes } from "../../../../api/src/routes/table.ts";
import {
  marker,
  startNeighbours,
  type Belongings,
  type Neighbours,
  type ServerUnderTest,
} from "./neighbours.ts";
import { builtPlaces, folderReaders, namePlaces, someSpellings } from "./spellings.ts";
import { leaksIn, look, verdictsOn, without, withoutDigits, type Seen } from "./what-is-seen.ts";

// Two tenants on one farm: whatever the one asks for, nothing comes back that is the other's, not even that it is there.
// On the simulator, and on a real ComfyUI where REAL_COMFYUI_URL and REAL_COMFYUI_DIR name one (docs/testing.md).

const { REAL_COMFYUI_URL: url, REAL_COMFYUI_DIR: folder } = process.env;
const servers: ServerUnderTest[] = [
  { name: "the simulator" },
  ...(url === undefined || folder === undefined ? [] : [{ name: "a real ComfyUI", url, folder }]),
];
const seed = Number(process.env["ISOLATION_SEED"] ?? 10);
const spelled = Number(process.env["ISOLATION_SPELLINGS"] ?? 150);

describe.each(servers)("two tenants on $name", (server) => {
  let neighbours: Neighbours;
  let curious: ApiClient;
  let theirs: Belongings;
  let secrets: string[];

  beforeAll(async () => {
    neighbours = await startNeighbours(server);
    curious = new ApiClient(neighbours.url, neighbours.keys.submit);
    theirs = await neighbours.belongings();
    const onDisk = await neighbours.namesOnDisk();
    // Folders and files apart: each of them would tell something.
    secrets = [...theirs.secrets, ...new Set(onDisk.flatMap((path) => path.match(/[0-9a-f]{32}/g) ?? []))];
  }, 180_000);
  afterAll(() => neighbours.stop(), 60_000);

  test("the other tenant has data to be found", () => {
    for (const [kind, ids] of Object.entries(theirs.ids))
      expect([kind, ids.length > 0]).toEqual([kind, true]);
    expect(theirs.publicNames.length).toBeGreaterThan(2);
    expect(secrets.filter((secret) => /^[0-9a-f]{32}$/.test(secret)).length).toBeGreaterThan(5);
  });

  const lines = [
    ...routes.filter(({ access, path }) => access !== "open" && !path.startsWith("/")),
    ...comfyRoutes,
  ];
  const withId = lines.filter(({ path }) => path.includes(":"));

  test.each(withId.map((line) => [`${line.method} ${line.path}`, line] as const))(
    "%s answers for the other's data as for data that does not exist",
    async (_name, { method, path, access }) => {
      const isNamed = path.includes(":name");
      const name = path.startsWith("templates/") ? `${marker}-template` : `${marker}-studio`;
      const contents = theirs.hashes.map((hash) => `blake3:${hash}`);
      const isOfContent = path.includes(":hash");
      const kinds = isNamed ? { name: [name] } : isOfContent ? { content: contents } : theirs.ids;
      const body = ["GET", "HEAD", "DELETE"].includes(method) ? undefined : {};
      const ask = async (role: Role, id: string): Promise<Seen> => {
        const asked = fullPath(path).replace(/:\w+/, encodeURIComponent(id)).replace(":version", "1");
        return without(await look(neighbours, role, method, asked, body), id);
      };
      // Servers and tenants are the operator's own business.
      for (const role of roles.filter((each) => access !== "operate" || each !== "operate")) {
        // What does not exist is answered alike whatever its id, so one of each spelling stands for all.
        const unknown = isOfContent ? `blake3:${randomBytes(32).toString("hex")}` : uuidv7();
        const strange = isNamed ? name.replace(/^\w+/, "x".repeat(marker.length)) : unknown;
        const nothing = await ask(role, strange);
        const nothingInCapitals = await ask(role, strange.toUpperCase());
        for (const [kind, ids] of Object.entries(kinds)) {
          for (const given of ids) {
            const seen = await ask(role, given);
            expect([kind, role, seen]).toEqual([kind, role, nothing]);
            expect([kind, role, leaksIn(seen, secrets)]).toEqual([kind, role, []]);
          }
          // How an id is read does not depend on the thing that it names.
          const seen = await ask(role, ids[0]!.toUpperCase());
          expect([kind, role, seen]).toEqual([kind, role, nothingInCapitals]);
          expect([kind, role, leaksIn(seen, secrets)]).toEqual([kind, role, []]);
        }
      }
    },
    180_000,
  );

  const lists = lines.filter(({ method, path }) => method === "GET" && !path.includes(":"));
  test.each(lists.filter(({ access }) => access !== "operate").map(({ path }) => path))(
    "GET %s shows nothing of the other's, whatever the query",
    async (path) => {
      const [job = "", batch = ""] = [theirs.ids["job"]![0], theirs.ids["batch"]![0]];
      const queries = [
        ...["", `?batch=${batch}`, `?project=${marker}-film`, `?tag=${marker}-cut`, `?text=${marker}`],
        ...[`?text=%25`, `?text=dragon`, `?status=completed,failed&limit=200`],
        ...[
          `?cursor=${job}`,
          `?cursor=${Buffer.from(job).toString("base64url")}`,
          `?tenant=${marker}-studio`,
          "?lastEventId=0",
        ],
      ];
      for (const role of ["read", "submit"] as const) {
        for (const query of queries) {
          const seen = await look(neighbours, role, "GET", `${fullPath(path)}${query}`);
          expect([role, query, leaksIn(seen, secrets, query.slice(query.indexOf("=") + 1) || "-")]).toEqual([
            role,
            query,
            [],
          ]);
        }
      }
    },
  );

  test("no key of a tenant sees tickets or figures of all tenants, by any path", async () => {
    const [job = "", prompt = ""] = [theirs.ids["job"]![0], theirs.ids["prompt"]![0]];
    const board = "/admin/queues";
    const paths = [
      ...["/metrics", "/metrics/", "/METRICS", board, `${board}/`, `${board}/api/queues`],
      ...["completed", "failed", "latest"].map(
        (status) => `${board}/api/queues?activeQueue=default&status=${status}&page=1&jobsPerPage=50`,
      ),
      ...[`${job}-1`, job, prompt].flatMap((id) =>
        ["", "/logs", "/flow"].map((rest) => `${board}/api/queues/default/${id}${rest}`),
      ),
      ...["/api/redis/stats", "/api/queues/default/workers", "/api/queues/default/metrics"].map(
        (rest) => board + rest,
      ),
      ...[`${board}/queue/default/${job}-1`, "/Admin/Queues/api/queues", `${board}//api/queues`],
    ];
    for (const path of paths) {
      for (const role of ["read", "submit"] as const) {
        for (const method of ["GET", "HEAD"]) {
          const seen = await look(neighbours, role, method, path);
          expect([role, method, path, seen.status]).toEqual([role, method, path, 403]);
          expect([role, path, leaksIn(without(seen, job), secrets, prompt)]).toEqual([role, path, []]);
        }
      }
    }
    // There is something to be hidden.
    expect((await look(neighbours, "operate", "GET", `${board}/api/queues`)).status).toBe(200);
    expect((await look(neighbours, "operate", "GET", "/metrics")).text).toContain("genga_");
  });

  test("neither counts nor places in the queue reveal how many jobs of the other wait", async () => {
    const limitBoth = async (running: number | null): Promise<void> => {
      await neighbours.limitRunning(`${marker}-studio`, running);
      await neighbours.limitRunning("atelier", running);
    };
    await limitBoth(0);
    const plain = {
      type: "workflow",
      workflow: {
        "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 1 } },
        "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
      },
    };
    const before = (await look(neighbours, "read", "GET", fullPath("queue"))).text;
    const waiting = await neighbours.owner.submitBatch(Array.from({ length: 7 }, () => plain));
    const own = await curious.submit({ ...plain, priority: "low" });
    const view = JSON.parse((await look(neighbours, "read", "GET", fullPath(`jobs/${own}`))).text) as {
      waitingFor: { jobsBefore: number };
    };
    await curious.cancel(own);
    const queue = JSON.parse((await look(neighbours, "read", "GET", fullPath("queue"))).text) as {
      counts: Record<string, number>;
      lanes: unknown;
    };
    await neighbours.owner.request("POST", `batches/${waiting.id}/cancel`);
    await limitBoth(null);
    expect(view.waitingFor.jobsBefore).toBe(0);
    expect(queue.counts["queued"]).toBe(0);
    expect(queue.lanes).toEqual((JSON.parse(before) as { lanes: unknown }).lanes);
  });

  test("an image that the other has sent before is treated as a new one", async () => {
    const [theirName = ""] = theirs.publicNames;
    const job = {
      type: "workflow",
      workflow: {
        "1": { class_type: "LoadImage", inputs: { image: theirName } },
        "2": { class_type: "SaveImage", inputs: { images: ["1", 0] } },
      },
    };
    const [verdict] = await verdictsOn(neighbours, [job]);
    expect(verdict).toEqual([expect.stringContaining("unknown-upload")]);
  });

  /** Jobs of the curious tenant, run to their ends. */
  async function run(jobs: object[]): Promise<{ job: JobAnswer; shows: boolean }[]> {
    const ended: { job: JobAnswer; shows: boolean }[] = [];
    for (let start = 0; start < jobs.length; start += 100) {
      const { jobIds } = await curious.submitBatch(jobs.slice(start, start + 100));
      for (const id of jobIds) {
        const job = await curious.untilEnded(id);
        let shows = false;
        for (const { id: output, mediaType } of await curious.outputs(id)) {
          if (mediaType.startsWith("image/"))
            shows ||= await neighbours.isOwners(await curious.download(output));
        }
        ended.push({ job, shows });
      }
    }
    return ended;
  }

  /** The same name with other digits: nothing is called so. */
  const nameless = (name: string): string =>
    name.replaceAll(/[0-9a-f]{8,}/g, (digits) => randomBytes(32).toString("hex").slice(0, digits.length));

  test("every spelling of the other's names is answered like a name that does not exist, and shows no picture", async () => {
    const onDisk = await neighbours.namesOnDisk();
    const names = [...theirs.publicNames, ...onDisk].filter((name) => name.endsWith(".png"));
    const places = Object.entries(namePlaces);
    const asked = someSpellings(spelled, seed).flatMap((spelling, index) => {
      const name = names[index % names.length]!;
      const other = nameless(name);
      return places.map(([place, job]) => ({
        about: `${place}: ${spelling(name)}`,
        real: job(spelling(name)),
        strange: job(spelling(other)),
      }));
    });
    const [verdicts, strangers] = [
      await verdictsOn(
        neighbours,
        asked.map(({ real }) => real),
      ),
      await verdictsOn(
        neighbours,
        asked.map(({ strange }) => strange),
      ),
    ];
    const plain = (verdict: string[] | null | undefined): string =>
      withoutDigits(JSON.stringify(verdict ?? null));
    const told = asked.flatMap(({ about }, index) =>
      plain(verdicts[index]) === plain(strangers[index])
        ? []
        : [`${about}: ${plain(verdicts[index])}, else ${plain(strangers[index])}`],
    );
    expect(told).toEqual([]);
    const accepted = asked.filter((_each, index) => verdicts[index] === null);
    expect(accepted.length).toBeLessThan(asked.length / 2);
    const [ended, endedStrangers] = [
      await run(accepted.map(({ real }) => real)),
      await run(accepted.map(({ strange }) => strange)),
    ];
    const outcome = (each: { job: JobAnswer; shows: boolean } | undefined): string =>
      withoutDigits(`${each?.job.status} ${each?.job.failure?.code} ${each?.shows}`);
    for (const [index, { about }] of accepted.entries()) {
      expect([about, outcome(ended[index])]).toEqual([about, outcome(endedStrangers[index])]);
      expect([about, ended[index]?.shows]).toEqual([about, false]);
    }
  }, 300_000);

  test("names that a graph builds on the server reach no file of the other", async () => {
    if (server.url !== undefined) {
      // That such ways work is seen by a name that only somebody with the server's disk before him knows.
      const known = (await neighbours.namesOnDisk()).filter((path) => /[0-9a-f]{32}\.png$/.test(path));
      const shown = await run(
        known.map((name) => builtPlaces["joined, into a loader of a node pack"]!(name)),
      );
      expect(shown.map(({ job }) => job.failure).filter((failure) => failure !== null)).toEqual([]);
      expect(shown.some(({ shows }) => shows)).toBe(true);
    }
    const guesses = theirs.publicNames.flatMap((name) => [
      ...[
        name,
        `${name} [input]`,
        `${name} [output]`,
        `${name} [temp]`,
        `../output/${name}`,
        `../input/${name}`,
      ],
      ...[name.split("/").slice(1).join("/"), name.split("/").at(-1)!, `${name.split("/").at(-1)!} [output]`],
    ]);
    const jobs = Object.entries(builtPlaces).flatMap(([place, job]) =>
      [...new Set(guesses)].map((name) => ({ about: `${place}: ${name}`, job: job(name) })),
    );
    const verdicts = await verdictsOn(
      neighbours,
      jobs.map(({ job }) => job),
    );
    const accepted = jobs.filter((_each, index) => verdicts[index] === null);
    const ended = await run(accepted.map(({ job }) => job));
    for (const [index, { about }] of accepted.entries()) {
      expect([about, ended[index]?.shows, ended[index]?.job.status]).toEqual([about, false, "failed"]);
    }
  }, 300_000);

  test("node classes that read folders are refused", async () => {
    const verdicts = await verdictsOn(neighbours, [...folderReaders]);
    for (const [index, verdict] of verdicts.entries()) {
      const about = JSON.stringify(folderReaders[index]);
      expect([about, verdict?.join() ?? "accepted"]).toEqual([
        about,
        expect.stringMatching(/denied-node-class|forbidden-file/) as unknown,
      ]);
    }
    expect(
      verdicts.filter((verdict) => verdict?.join().includes("denied-node-class")).length,
    ).toBeGreaterThan(10);
  });

  test("answers about the tenant's own jobs contain nothing of the other's, and no path of the server's disk", async () => {
    const empty = { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 9 } };
    const saved = (node: string): object => ({
      class_type: "SaveImage",
      inputs: { images: [node, 0], filename_prefix: "mine" },
    });
    const fails = {
      class_type: "ProtoFail",
      inputs: { image: ["1", 0], mode: "value", message: "no", seed: 2 },
    };
    const own = await run([
      { type: "workflow", workflow: { "1": empty, "2": saved("1") } },
      { type: "workflow", workflow: { "1": empty, "2": saved("3"), "3": fails } },
    ]);
    expect(own.map(({ job }) => job.status)).toEqual(["completed", "failed"]);
    const onDisk = (await neighbours.namesOnDisk()).flatMap((path) => path.match(/[0-9a-f]{32}/g) ?? []);
    for (const { job } of own) {
      for (const { method, path } of withId.filter(({ path: each }) => /^(\/api\/v2\/)?job/.test(each))) {
        if (method !== "GET") continue;
        const seen = await look(neighbours, "read", method, fullPath(path).replace(":id", job.id));
        // A job that failed has no picture.
        const isThere = job.status === "completed" || !path.endsWith("/thumbnail");
        expect([path, seen.status < 300]).toEqual([path, isThere]);
        expect([path, leaksIn(seen, [...secrets, ...onDisk])]).toEqual([path, []]);
      }
    }
  });

  // The last to look: from here on the curious tenant has an image of its own that is the other's.
  test("an image that the other has sent is answered as a new one, as a body and in a form, whatever the form says", async () => {
    const [theirName = ""] = theirs.publicNames;
    const [theirId = ""] = theirs.ids["upload"]!;
    const [sha256 = ""] = /[0-9a-f]{64}/.exec(theirName) ?? [];
    const picture = new Blob([new Uint8Array(await neighbours.ownersPicture())], { type: "image/png" });
    const formOf = (fill: (form: FormData) => void): FormData => {
      const form = new FormData();
      fill(form);
      return form;
    };
    const bodies = [
      picture,
      formOf((form) => {
        form.set("image", picture, theirName);
      }),
      formOf((form) => {
        for (const name of ["id", "tenant", "sha256", "name"]) form.set(name, theirId);
        form.set("file", picture, `../output/${theirName}`);
      }),
    ];
    const begun = Date.now() - 1_000;
    for (const body of bodies) {
      const send = (key: string): Promise<Response> =>
        fetch(`${neighbours.url}${fullPath("uploads")}`, {
          ...{ method: "POST", headers: { authorization: `Bearer ${key}` }, body },
        });
      expect((await send(neighbours.keys.read)).status).toBe(403);
      const answer = await send(neighbours.keys.submit);
      const text = await answer.text();
      const seen = without(
        { status: answer.status, headers: Object.fromEntries(answer.headers), text },
        sha256,
      );
      expect([seen.status, leaksIn(seen, secrets)]).toEqual([201, []]);
      const { createdAt } = JSON.parse(text) as { createdAt: string };
      expect(Date.parse(createdAt)).toBeGreaterThan(begun);
    }
    // Names of forms reach no file: there is no image in these.
    for (const field of ["image", "file"]) {
      const form = formOf((filled) => {
        filled.set(field, theirName);
      });
      const answer = await fetch(`${neighbours.url}${fullPath("uploads")}`, {
        ...{ method: "POST", body: form, headers: { authorization: `Bearer ${neighbours.keys.submit}` } },
      });
      expect([field, answer.status]).toEqual([field, 400]);
    }
  });

  test("nothing of the other's was changed", async () => {
    const { ids } = await neighbours.belongings();
    for (const id of theirs.ids["job"]!) expect(ids["job"]).toContain(id);
    const states = await Promise.all(
      theirs.ids["job"]!.map(async (id) => (await neighbours.owner.job(id)).status),
    );
    expect(states.filter((status) => status === "completed")).toHaveLength(4);
    expect(states.filter((status) => status === "failed")).toHaveLength(1);
    const template = await neighbours.owner.request("GET", `templates/${marker}-template`);
    expect(await template.json()).toMatchObject({ version: 1, latestVersion: 1, archivedAt: null });
  });
});
