import { type Response } from "express";

/** The facts of a route on which its requests' log lines, refusals and metrics depend. */
export interface RequestFacts {
  /** The id of the route. */
  readonly id?: string;
  /** The requests submit jobs. */
  readonly submits?: true;
  /** Machines send such requests every few seconds, so that each is logged at the level `debug` only. */
  readonly isPolled?: true;
}

/** Keeps the facts of the route that a request has reached. */
export function noteFacts(response: Response, { id, submits, isPolled }: RequestFacts): void {
  response.locals["facts"] = {
    ...(id !== undefined && { id }),
    ...(submits && { submits }),
    ...(isPolled && { isPolled }),
  };
}

/** Those facts; none of them while the request has not reached a route. */
export function factsOf(response: Response): RequestFacts {
  return (response.locals["facts"] as RequestFacts | undefined) ?? {};
}
