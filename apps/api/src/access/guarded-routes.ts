import { roles } from "@genga/jobs";
import { type Express, type Request, type RequestHandler, type Response, type Router } from "express";
import { type Access } from "./access.ts";
import { accessTable, fullPath, type AccessLine, type Method } from "./access-table.ts";
import { RefusedError } from "../http/problem-document.ts";
import { type TenantAdmission } from "./tenant-admission.ts";

type Handler = (request: Request, response: Response) => Promise<void> | void;

/** What can be done at one path. */
export interface Actions {
  get?: Handler;
  post?: Handler;
  put?: Handler;
  delete?: Handler;
  /** Reads the body of a POST or PUT; only from those who may send one. */
  body?: RequestHandler | RequestHandler[];
}

/** The only way to add a route: in front of each stands what its line in the table asks for, before a body is read. */
export class GuardedRoutes {
  readonly #app: Express;
  readonly #access: Access;
  readonly #admission: TenantAdmission;

  constructor(app: Express, access: Access, admission: TenantAdmission) {
    this.#app = app;
    this.#access = access;
    this.#admission = admission;
  }

  /**
   * Registers a path with its actions; every other method is answered with 405 and what is allowed.
   * @param path as in the table
   * @throws Error when the table has no line for one of the actions
   */
  resource(path: string, actions: Actions): void {
    const route = this.#app.route(fullPath(path));
    const lines: AccessLine[] = [];
    const guard = (method: Method): RequestHandler[] => {
      const line = lineOf(method, path);
      lines.push(line);
      return this.#guardsOf(line);
    };
    const body = [actions.body ?? []].flat();
    if (actions.get !== undefined) route.get(guard("GET"), actions.get);
    if (actions.post !== undefined) route.post(guard("POST"), body, actions.post);
    if (actions.put !== undefined) route.put(guard("PUT"), body, actions.put);
    if (actions.delete !== undefined) route.delete(guard("DELETE"), actions.delete);
    const allowed = lines.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
    const allow = [...allowed, "OPTIONS"].join(", ");
    route.all(...this.#guardsOf(weakestOf(lines)), (request, response) => {
      if (request.method === "OPTIONS") {
        response.set("allow", allow).status(204).end();
        return;
      }
      throw new RefusedError("method-not-allowed", `${request.method} is not possible here; ${allow} are.`, {
        headers: { allow },
      });
    });
  }

  /** Figures and pages for operators are outside of the prefix: a flood of requests must not hide what it does. */
  #guardsOf(line: AccessLine): RequestHandler[] {
    const isLimited = line.access !== "open" && !line.path.startsWith("/");
    return [this.#access.require(line), ...(isLimited ? [this.#admission.admit] : [])];
  }

  /** Everything below a path, for a router that is not ours. @throws Error when the table has no line for it */
  mount(path: string, router: Router): void {
    this.#app.use(fullPath(path), this.#access.require(lineOf("GET", path)), router);
  }
}

function lineOf(method: Method, path: string): AccessLine {
  const line = accessTable.find((each) => each.method === method && each.path === path);
  if (line === undefined) throw new Error(`access-table.ts has no line for ${method} ${path}.`);
  return line;
}

/** Whoever may do anything at a path may learn what is possible there. */
function weakestOf(lines: readonly AccessLine[]): AccessLine {
  const order = ["open", ...roles];
  const [first] = lines.toSorted((one, other) => order.indexOf(one.access) - order.indexOf(other.access));
  if (first === undefined) throw new Error("A path without an action cannot be registered.");
  return first;
}
