import { type Request, type Response, type Router } from "express";
import { RefusedError } from "./problem-document.ts";

type Handler = (request: Request, response: Response) => Promise<void> | void;

/** What can be done at one path. */
export interface Actions {
  get?: Handler;
  post?: Handler;
  delete?: Handler;
}

/** Registers a path with its actions; every other method is answered with 405 and what is allowed. */
export function resource(router: Router, path: string, actions: Actions): void {
  const route = router.route(path);
  const allowed: string[] = [];
  if (actions.get !== undefined) {
    route.get(actions.get);
    allowed.push("GET", "HEAD");
  }
  if (actions.post !== undefined) {
    route.post(actions.post);
    allowed.push("POST");
  }
  if (actions.delete !== undefined) {
    route.delete(actions.delete);
    allowed.push("DELETE");
  }
  const allow = [...allowed, "OPTIONS"].join(", ");
  route.all((request, response) => {
    if (request.method === "OPTIONS") {
      response.set("allow", allow).status(204).end();
      return;
    }
    throw new RefusedError("method-not-allowed", `${request.method} is not possible here; ${allow} are.`, {
      headers: { allow },
    });
  });
}
