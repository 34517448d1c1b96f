import { setTimeout as sleep } from "node:timers/promises";
import { isObject } from "@genga/comfyui";
import { StoreUnavailableError } from "@genga/jobs";
import { RefusedError } from "../../http/problem-document.ts";
import { anyBody, bytesOf, jsonOf, writePart, type DoorRoute } from "../door-route.ts";
import { cancelPrompts } from "../cancel-prompts.ts";

export const postPrompt: DoorRoute = {
  id: "postPrompt",
  method: "POST",
  path: "/prompt",
  submits: true,
  receive: anyBody,
  handle: async ({ request, response, principal }, { submissions, door, metrics }) => {
    const accept = (): ReturnType<typeof submissions.accept> =>
      submissions.accept({
        ...{ kind: "prompt", body: bytesOf(request), principal, baseUrl: "" },
        traceparent: request.get("traceparent"),
      });
    const accepted = await patiently(accept, () => !response.destroyed);
    if (accepted.status !== undefined) metrics.jobsRefused.inc({ code: "invalid-graph" });
    else door.upgrades.noteQueue(principal.tenant.id, principal.keyName);
    response
      .status(accepted.status ?? 200)
      .type("json")
      .send(Buffer.from(accepted.answer));
  },
};

/** A server never has too much to do to take a prompt, so clients do not send it again. */
const patienceMs = 20_000;
const againMs = 250;

/** Tries again while the database is too busy, or away for a moment, and nothing was stored. */
async function patiently<Result>(work: () => Promise<Result>, isWanted: () => boolean): Promise<Result> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isOver = performance.now() > until || !isWanted();
      if (isOver || !(error instanceof StoreUnavailableError) || !error.wasRefused) throw error;
      await sleep(againMs);
    }
  }
}

export const getPrompt: DoorRoute = {
  id: "getPrompt",
  method: "GET",
  path: "/prompt",
  isPolled: true,
  handle: async ({ response, principal: { tenant, keyName } }, { door }) => {
    const remaining = await door.prompts.countActive(tenant.id, keyName);
    response.json({ exec_info: { queue_remaining: remaining } });
  },
};

export const getQueue: DoorRoute = {
  id: "getQueue",
  method: "GET",
  path: "/queue",
  isPolled: true,
  handle: async ({ response, principal: { tenant, keyName } }, { door, stallLimit }) => {
    const queue = { tenantId: tenant.id, keyName };
    const shared = await door.queueAnswers.shared(queue);
    response.type("json");
    if (shared !== null) {
      response.set("content-length", String(shared.length)).end(shared);
      return;
    }
    stallLimit.watch(response);
    for await (const piece of door.queueAnswers.pieces(queue)) {
      if (!(await writePart(response, piece))) return;
    }
    response.end();
  },
};

export const postQueue: DoorRoute = {
  id: "postQueue",
  method: "POST",
  path: "/queue",
  receive: anyBody,
  handle: async ({ request, response, principal }, parts) => {
    const body = await jsonOf(request);
    const { clear, delete: given } = isObject(body) ? body : {};
    const promptIds = textsOf(given);
    if (clear === true) await cancelPrompts({ state: "waiting" }, principal, parts);
    else if (promptIds.length > 0) await cancelPrompts({ promptIds, state: "waiting" }, principal, parts);
    response.status(200).end();
  },
};

export const postInterrupt: DoorRoute = {
  id: "postInterrupt",
  method: "POST",
  path: "/interrupt",
  receive: anyBody,
  handle: async ({ request, response, principal }, parts) => {
    // A server takes a body that it cannot read for none.
    const read = await jsonOf(request).catch(() => undefined);
    const body = read === undefined ? {} : read;
    // An answer 500 there, where nothing is interrupted.
    if (!isObject(body)) throw new RefusedError("bad-request", "The body must be a JSON object.");
    const { prompt_id: promptId } = body;
    // A server takes an empty id for none, too.
    const named = promptId ? { promptIds: textsOf([promptId]) } : {};
    await cancelPrompts({ ...named, state: "begun" }, principal, parts);
    response.status(200).end();
  },
};

/** Ids in a body; other values name no prompt. */
export function textsOf(given: unknown): string[] {
  return Array.isArray(given)
    ? given.flatMap((id: unknown) => (typeof id === "string" && !id.includes("\0") ? [id] : []))
    : [];
}
