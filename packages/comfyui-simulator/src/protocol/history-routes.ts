import { type HistoryEntry, type PromptQueue, queueTuple } from "../execution/prompt-queue.ts";
import { type PythonJson } from "../python/python-json.ts";
import { assertHashable, isTruthy, toPythonInt } from "../python/python-values.ts";
import { emptyReply, jsonReply, type Exchange, type Reply } from "./http-exchange.ts";
import { type HttpRouter } from "./http-router.ts";
import { asDict, contains, iterate } from "./prompt-routes.ts";

/** `/history`: the record of finished prompts (PROTOCOL 1 and 5). */
export class HistoryRoutes {
  readonly #queue: PromptQueue;

  constructor(queue: PromptQueue) {
    this.#queue = queue;
  }

  register(router: HttpRouter): void {
    router.add("/history", {
      GET: (exchange) => this.#page(exchange),
      POST: (exchange) => this.#change(exchange),
    });
    router.add("/history/{}", { GET: (exchange) => this.#one(exchange) });
  }

  #page(exchange: Exchange): Reply {
    const [itemsMax, offset] = [exchange.query.get("max_items"), exchange.query.get("offset")];
    const page = this.#queue.historyPage(
      itemsMax === null ? undefined : Number(toPythonInt(itemsMax)),
      offset === null ? -1 : Number(toPythonInt(offset)),
    );
    return jsonReply(new Map([...page].map(([promptId, entry]) => [promptId, entryJson(entry)])));
  }

  #one(exchange: Exchange): Reply {
    const entry = this.#queue.historyEntry(exchange.parameter);
    return jsonReply(entry ? new Map([[exchange.parameter, entryJson(entry)]]) : {});
  }

  async #change(exchange: Exchange): Promise<Reply> {
    const body = await exchange.json();
    if (contains(body, "clear") && isTruthy(asDict(body).get("clear"))) this.#queue.clearHistory();
    if (contains(body, "delete")) {
      for (const promptId of iterate(asDict(body).get("delete") ?? null)) {
        assertHashable(promptId);
        if (typeof promptId === "string") this.#queue.deleteHistory(promptId);
      }
    }
    return emptyReply(200);
  }
}

function entryJson(entry: HistoryEntry): PythonJson {
  return {
    prompt: queueTuple(entry.prompt),
    outputs: entry.outputs,
    status: statusJson(entry),
    meta: entry.meta,
  };
}

export function statusJson({ status }: HistoryEntry): PythonJson {
  return { ...status, messages: status.messages.map(({ type, data }) => [type, data]) };
}
