import { parseExactJson } from "@genga/comfyui";
import express, { type Request, type RequestHandler, type Response, type Router } from "express";
import { bodyBytesMax } from "./error-mapping.ts";
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

/**
 * Reads a JSON body, for paths that take one; numbers that JavaScript would change are `ExactNumber`s. A body of another
 * kind is refused rather than ignored.
 */
export function jsonBody(): RequestHandler[] {
  const refuseOthers: RequestHandler = (request, _response, next) => {
    if (request.method === "POST" && request.is("application/json") === false) {
      const given = request.headers["content-type"];
      throw new RefusedError(
        "unsupported-media-type",
        `The body must be application/json${given === undefined ? ", and says nothing of its type" : `, not ${given.slice(0, 100)}`}.`,
        { headers: { accept: "application/json" } },
      );
    }
    next();
  };
  const parse: RequestHandler = (request, _response, next) => {
    const text: unknown = request.body;
    if (typeof text === "string") request.body = text === "" ? {} : parseJson(text);
    next();
  };
  return [refuseOthers, express.text({ type: "application/json", limit: bodyBytesMax }), parse];
}

function parseJson(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RefusedError("malformed-json", `The body is not JSON: ${error.message.slice(0, 200)}`, {
      cause: error,
    });
  }
}
