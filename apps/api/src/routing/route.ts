import { type Principal } from "@genga/jobs";
import { type Request, type Response, type Router } from "express";
import { type z } from "zod";
import { principalOf, type Entry, type RouteAccess } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { baseUrlOf } from "../http/base-url.ts";
import { type Method } from "../http/paths.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { headersReader, queryReader } from "../http/request-values.ts";
import { type Body } from "./bodies.ts";
import { type Answer } from "./contents.ts";
import { absentSubject, readSubject, type SubjectName } from "./subjects.ts";

/** What routes are listed under in the OpenAPI document, in this order. */
export const tags = {
  submit: "Jobs, batches and images to begin with",
  jobs: "What became of a job, and what it made",
  change: "Cancel, try again, remove",
  farm: "The queue, the servers and the workers",
  keys: "Who may do what, and who did what",
  service: "This service itself",
} as const;

/** What is known of a route without calling it: guards, the OpenAPI document and tests are made of this. */
export interface RouteFacts extends Entry {
  /** Stable: generated clients name their functions by it. */
  readonly id: string;
  readonly tag: keyof typeof tags;
  readonly method: Method;
  /** Below the prefix, or from the root when it begins with a slash. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  readonly body?: Body<unknown>;
  /** By status. The lowest is the one of a reply that names none. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Codes of refusals, beside those that follow from the access, the body and the prefix. */
  readonly problems?: readonly ProblemCode[];
}

/** A route with a handler of our own. */
export interface HandledRoute extends RouteFacts {
  readonly respond: (request: Request, response: Response, parts: RouteDependencies) => Promise<void>;
}

/** A router that is not ours; it answers everything below the path. */
export interface MountedRoute extends RouteFacts {
  readonly routerOf: (parts: RouteDependencies) => Router;
}

/** One thing that can be asked of the API. */
export type Route = HandledRoute | MountedRoute;

/** What handlers work with. Each names what it needs of it. */
export interface RouteDependencies extends ApiDependencies {
  documents: Documents;
}

/** Pages and documents that are made of the table of routes itself. */
export interface Documents {
  /** The OpenAPI document, as it is while keys are asked for and while they are not. */
  openApi: { withKeys: string; keyless: string };
  landingPage: string;
  documentationPage: string;
  /** What draws the documentation page. */
  documentationScript: string;
}

/** What a handler is given: the request as far as its route reads it, and who sent it. */
interface Asked<Access, Subject, Query, Headers, BodyValue> {
  /** What stands for `:id` or `:name` in the path, in lower case; only what can be one gets here. */
  readonly id: [Subject] extends [never] ? undefined : string;
  /** The refusal that says that the route's subject is not there. */
  readonly absent: () => Error;
  readonly query: z.output<Query & z.ZodType>;
  readonly headers: z.output<Headers & z.ZodType>;
  readonly body: BodyValue;
  /** Who asks; nobody knows it where the route is open. */
  readonly principal: Access extends "open" ? undefined : Principal;
  /** Where links begin. */
  readonly baseUrl: string;
  readonly request: Request;
  /** For handlers that write the answer themselves. */
  readonly response: Response;
}

/** What a handler answers: JSON, a text of some media type, or nothing but a status. */
export interface Reply {
  /** Where it is not the route's usual one. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Where what was made is found. */
  readonly location?: string;
  readonly json?: object;
  readonly text?: { readonly mediaType: string; readonly content: string };
}

/** Returned by a handler that wrote the answer itself: a stream, a file. */
export const alreadySent = "already sent";

interface RouteDefinition<
  Access extends RouteAccess,
  Subject extends SubjectName,
  Query extends z.ZodObject,
  Headers extends z.ZodObject,
  BodyValue,
> extends RouteFacts {
  readonly access: Access;
  /** What the `:id` or `:name` of the path names. */
  readonly subject?: Subject;
  readonly query?: Query;
  readonly headers?: Headers;
  readonly body?: Body<BodyValue>;
  readonly handler: (
    asked: Asked<Access, Subject, Query, Headers, BodyValue>,
    parts: RouteDependencies,
  ) => Handled | Promise<Handled>;
}
type Handled = Reply | typeof alreadySent;

/**
 * Makes a route of its facts and its handler. The handler is called when everything that the facts say has been checked:
 * who asks and whether they may, then the body's form, then the query, headers and fields, and last the id in the path.
 */
export function route<
  Access extends RouteAccess,
  Subject extends SubjectName = never,
  Query extends z.ZodObject = never,
  Headers extends z.ZodObject = never,
  BodyValue = undefined,
>(definition: RouteDefinition<Access, Subject, Query, Headers, BodyValue>): HandledRoute {
  const { handler, subject, ...facts } = definition;
  const { id, path, access, query, headers, body } = definition;
  const parameter = /:(\w+)/.exec(path)?.[1];
  if ((parameter === undefined) !== (subject === undefined)) {
    throw new Error(`The route ${id} must name a subject if its path has a parameter, and only then.`);
  }
  const readQuery = query && queryReader(query);
  const readHeaders = headers && headersReader(headers);
  const usualStatus = Math.min(...Object.keys(facts.answers).map(Number));
  return {
    ...facts,
    respond: async (request, response, parts) => {
      const inQuery = readQuery?.(request);
      const inHeaders = readHeaders?.(request);
      const inBody = await body?.read(request);
      const given = textOf(parameter === undefined ? undefined : request.params[parameter]);
      // What the definition does not name is undefined, as the type says.
      const asked = {
        id: subject && readSubject(subject, given),
        absent: () =>
          subject === undefined ? new Error(`${id} has no subject.`) : absentSubject(subject, given),
        ...{ query: inQuery, headers: inHeaders, body: inBody },
        principal: access === "open" ? undefined : principalOf(response),
        ...{ baseUrl: baseUrlOf(response), request, response },
      } as Asked<Access, Subject, Query, Headers, BodyValue>;
      const reply = await handler(asked, parts);
      if (reply !== alreadySent) send(response, reply, usualStatus);
    },
  };
}

function textOf(parameter: unknown): string {
  return typeof parameter === "string" ? parameter : "";
}

function send(response: Response, reply: Reply, usualStatus: number): void {
  const { status = usualStatus, headers, location, json, text } = reply;
  response.status(status);
  if (headers !== undefined) response.set(headers);
  if (location !== undefined) response.location(location);
  if (json !== undefined) response.json(json);
  else if (text !== undefined) response.type(text.mediaType).send(text.content);
  else response.end();
}
