import { isObject } from "@genga/comfyui";
import { RefusedError } from "../../http/problem-document.ts";
import { anyBody, jsonOf, queryOf, writePart, type DoorRequest, type DoorRoute } from "../door-route.ts";
import { textsOf } from "./prompts.ts";

/** Entries of an answer: the newest ones unless the client asks for more. */
const entries = { byDefault: 200, max: 10_000 };

export const getHistory: DoorRoute = {
  id: "getHistory",
  method: "GET",
  path: "/history",
  handle: async (asked, { door, stallLimit }) => {
    const { response, principal } = asked;
    const max = numberOf(asked, "max_items");
    const offset = numberOf(asked, "offset");
    const isFromOldest = offset !== undefined && offset >= 0;
    // From an offset on, a server looks whether it has enough only when it has taken one.
    const limit = Math.min(Math.max(max ?? entries.byDefault, isFromOldest ? 1 : 0), entries.max);
    stallLimit.watch(response);
    response.type("json");
    response.write("{");
    let isFirst = true;
    // A server reads a negative offset as none; so many entries from the oldest on.
    const page = { max: limit, ...(isFromOldest && { offset }) };
    if (limit > 0) {
      for await (const part of door.prompts.listEnded(principal.tenant.id, page)) {
        for (const prompt of part) {
          const entry = await door.history.entryOf(prompt);
          const text = `${isFirst ? "" : ","}${JSON.stringify(prompt.promptId)}:${entry}`;
          if (!(await writePart(response, text))) return;
          isFirst = false;
        }
      }
    }
    response.end("}");
  },
};

export const getHistoryOfPrompt: DoorRoute = {
  id: "getHistoryOfPrompt",
  method: "GET",
  path: "/history/:promptId",
  isPolled: true,
  handle: async ({ request, response, principal: { tenant, keyName } }, { door }) => {
    const promptId = String(request.params["promptId"]);
    const queue = { tenantId: tenant.id, keyName };
    const prompt = promptId.includes("\0") ? null : await door.prompts.findEnded(tenant.id, promptId);
    const entry = prompt === null ? "" : `${JSON.stringify(promptId)}:${await door.history.entryOf(prompt)}`;
    // Before the client is told.
    if (prompt === null) await door.askedHistory.noteNone(queue, promptId);
    else door.askedHistory.noteSeen(queue, promptId);
    response.type("json").send(`{${entry}}`);
    if (prompt !== null) door.upgrades.noteRead(prompt);
  },
};

export const postHistory: DoorRoute = {
  id: "postHistory",
  method: "POST",
  path: "/history",
  receive: anyBody,
  handle: async ({ request, response, principal: { tenant } }, { door }) => {
    const body = await jsonOf(request);
    const { clear, delete: given } = isObject(body) ? body : {};
    if (clear === true) await door.prompts.hide(tenant.id, "all");
    else if (Array.isArray(given)) await door.prompts.hide(tenant.id, { promptIds: textsOf(given) });
    response.status(200).end();
  },
};

function numberOf({ request }: DoorRequest, name: string): number | undefined {
  const text = queryOf(request, name);
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) return value;
  throw new RefusedError("bad-request", `${name} must be a whole number.`);
}
