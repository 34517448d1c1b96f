import { type Principal } from "@genga/jobs";
import { type Request, type Response, type Router } from "express";
import { type z } from "zod";
import { principalOf, type Entry, type RouteAccess } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { baseUrlOf } from "../http/base-url.ts";
import { type Method } from "../http/paths.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { type RequestFacts } from "../http/request-facts.ts";
import { headersReader, queryReader } from "../http/request-values.ts";
import { type Body } from "./bodies.ts";
import { type Answers, type Reply, type ReplyTo } from "./reply.ts";
import { absentSubject, readSubject, type SubjectName } from "./subjects.ts";

/** The groups of routes in the OpenAPI document, in this order. */
export const tags = {
  submit: "Jobs, batches and initial images",
  jobs: "The state and the outputs of jobs",
  change: "Cancel, try again, remove",
  webhooks: "Events that Genga sends",
  templates: "Graphs with typed parameters",
  farm: "The queue, the servers and the workers",
  keys: "Who may do what, and who did what",
  service: "This service itself",
} as const;

/**
 * The facts about a route that are known without calling it. Guards, the OpenAPI document and tests are made of them.
 */
export interface RouteFacts extends Entry, RequestFacts {
  /** Never changes, because generated clients name their functions after it. */
  readonly id: string;
  readonly tag: keyof typeof tags;
  readonly method: Method;
  /** Relative to the prefix, or to the root when it begins with a slash. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  readonly body?: Body<unknown>;
  /** The answers by status. A reply without a status gets the lowest one. */
  readonly answers: Answers;
  /** Codes of refusals, besides those that follow from the access, the body and the prefix. */
  readonly problems?: readonly ProblemCode[];
}

/** A route with a handler of this package. */
export interface HandledRoute extends RouteFacts {
  readonly respond: (request: Request, response: Response, parts: RouteDependencies) => Promise<void>;
}

/** A router of a library, which answers all requests below the path. */
export interface MountedRoute extends RouteFacts {
  readonly routerOf: (parts: RouteDependencies) => Router;
}

/** A row of the table of routes. */
export type Route = HandledRoute | MountedRoute;

/** All parts that handlers may use. Each handler names the parts that it needs. */
export interface RouteDependencies extends ApiDependencies {
  documents: Documents;
}

/** Documents that are made of the table of routes. */
export interface Documents {
  /** The OpenAPI document: one version for when keys are needed, one for when they are not. */
  openApi: { withKeys: () => string; keyless: () => string };
  landingPage: string;
  documentationPage: string;
  /** The script that renders the documentation page. */
  documentationScript: () => string;
}

/** The argument of a handler: the parts of the request that its route reads, and the principal. */
interface Asked<Access, Subject, Query, Headers, BodyValue> {
  /**
   * The value of `:id` or `:name` in the path, in lower case, after the check that it has the form of an id or name.
   */
  readonly id: [Subject] extends [never] ? undefined : string;
  /** Makes the refusal which says that the route's subject does not exist. */
  readonly absent: () => Error;
  readonly query: z.output<Query & z.ZodType>;
  readonly headers: z.output<Headers & z.ZodType>;
  readonly body: BodyValue;
  /** The principal; `undefined` where the route is open. */
  readonly principal: Access extends "open" ? undefined : Principal;
  /** The URL that links begin with. */
  readonly baseUrl: string;
  readonly request: Request;
  /** For handlers that write the answer themselves. */
  readonly response: Response;
}

/** Returned by a handler that wrote the answer itself: a stream, a file. */
export const alreadySent = "already sent";

interface RouteDefinition<
  Access extends RouteAccess,
  Subject extends SubjectName,
  Query extends z.ZodObject,
  Headers extends z.ZodObject,
  BodyValue,
  Allowed extends Answers,
> extends RouteFacts {
  readonly access: Access;
  readonly answers: Allowed;
  /** The kind of thing that `:id` or `:name` in the path names. */
  readonly subject?: Subject;
  readonly query?: Query;
  readonly headers?: Headers;
  readonly body?: Body<BodyValue>;
  readonly handler: (
    asked: Asked<Access, Subject, Query, Headers, BodyValue>,
    parts: RouteDependencies,
  ) => Handled<Allowed> | Promise<Handled<Allowed>>;
}
type Handled<Allowed extends Answers> = ReplyTo<Allowed> | typeof alreadySent;

/**
 * Makes a route of its facts and its handler. When the handler is called, everything that the facts say was checked, in
 * this order: the key and its role, the form of the body, the query, the headers and the fields, and last the id in the
 * path.
 */
export function route<
  Access extends RouteAccess,
  Subject extends SubjectName = never,
  Query extends z.ZodObject = never,
  Headers extends z.ZodObject = never,
  BodyValue = undefined,
  const Allowed extends Answers = Answers,
>(definition: RouteDefinition<Access, Subject, Query, Headers, BodyValue, Allowed>): HandledRoute {
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
      // A part that the definition does not name is undefined, as the type says.
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
  const { status = usualStatus, headers, location, json, jsonBytes, text } = reply;
  response.status(status);
  if (headers !== undefined) response.set(headers);
  if (location !== undefined) response.location(location);
  if (json !== undefined) response.json(json);
  else if (jsonBytes !== undefined) response.type("json").send(Buffer.from(jsonBytes.buffer));
  else if (text !== undefined) response.type(text.mediaType).send(text.content);
  else response.end();
}
