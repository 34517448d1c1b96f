import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { TicketsUnavailableError } from "@genga/jobs";
import { Queue } from "bullmq";
import { Router, type Application, type NextFunction, type Request, type Response } from "express";
import { readLaneNames } from "./lanes/lane-tickets.ts";
import { sharedBackends, type SharedBackends } from "./lanes/shared-backend.ts";
import { RedisLink, type QueueLogger } from "./redis/redis-link.ts";
import { readTicket, shownNameOf } from "./tickets/ticket-data.ts";

export interface QueueBoardOptions {
  redisUrl: string;
  /** The same prefix as that of the ticket queue; default: `genga`. */
  prefix?: string;
  /** The path under which a browser finds the router, such as `/admin/queues`: the page's links begin with it. */
  basePath: string;
  /** The address of a job's page, to which its tickets link. */
  jobPageOf: (jobId: string) => string;
  logger: QueueLogger;
}

export interface QueueBoard {
  /** To be mounted at `basePath`. Answers 503 with a problem document while Redis is away. */
  router: Router;
  close(): Promise<void>;
}

/** Bull Board, read-only: shows every ticket, its progress, log lines and reason, with a link to its job; changes nothing. */
export function createQueueBoard(options: QueueBoardOptions): QueueBoard {
  const { redisUrl, prefix = "genga", basePath, jobPageOf, logger } = options;
  const link = new RedisLink({ redisUrl, purpose: "queue board", logger });
  const board = new ExpressAdapter().setBasePath(basePath);
  const { replaceQueues } = createBullBoard({
    queues: [],
    serverAdapter: board,
    options: { uiConfig: { boardTitle: "Genga tickets" } },
  });
  const shown = new ShownLanes({ link, prefix, jobPageOf, show: replaceQueues });
  const pages = board.getRouter() as Application;
  pages.disable("x-powered-by");
  const router = Router();
  const showAll = async (_request: Request, _response: Response, next: NextFunction): Promise<void> => {
    await shown.refresh();
    next();
  };
  router.use(refuseChanges, refuseWithout(link), keepToThisSite, showAll, pages);
  return { router, close: () => link.close() };
}

/** How old the list of lanes on the board may be. */
const refreshMs = 1_000;

interface ShownLanesOptions {
  link: RedisLink;
  prefix: string;
  jobPageOf: (jobId: string) => string;
  show: (adapters: BullMQAdapter[]) => void;
}

/** The lanes on the board, one queue each: new lanes appear and vanished ones go without a restart. */
class ShownLanes {
  readonly #options: ShownLanesOptions;
  readonly #backends: SharedBackends;
  #adapters = new Map<string, BullMQAdapter>();
  #refreshedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ShownLanesOptions) {
    this.#options = options;
    this.#backends = sharedBackends(options.link.redis, options.prefix);
  }

  async refresh(): Promise<void> {
    if (performance.now() - this.#refreshedAt < refreshMs) return;
    const { link, prefix, show } = this.#options;
    let names: string[];
    try {
      names = await link.run((redis) => readLaneNames(redis, prefix));
    } catch (error) {
      // The page goes on with the lanes that it knows, and says itself that Redis does not answer.
      if (error instanceof TicketsUnavailableError) return;
      throw error;
    }
    this.#refreshedAt = performance.now();
    this.#adapters = new Map(
      names.toSorted().map((name) => [name, this.#adapters.get(name) ?? this.#adapterOf(name)]),
    );
    show([...this.#adapters.values()]);
  }

  #adapterOf(lane: string): BullMQAdapter {
    const { link, prefix, jobPageOf } = this.#options;
    const options = { connection: link.redis, prefix, skipVersionCheck: true, skipMetasUpdate: true };
    const queue = new Queue(lane, options, this.#backends);
    queue.on("error", () => undefined); // The link logs outages.
    const adapter = new BullMQAdapter(queue, {
      readOnlyMode: true,
      // What another program added to the queue has no job, and so no link.
      externalJobUrl: (ticket) => linkOf(ticket, jobPageOf) as { href: string },
    });
    adapter.setFormatter("name", shownNameOf);
    return adapter;
  }
}

function linkOf(
  ticket: { id?: unknown; data?: unknown },
  jobPageOf: (jobId: string) => string,
): { href: string; displayText: string } | undefined {
  const read = readTicket({ id: typeof ticket.id === "string" ? ticket.id : undefined, data: ticket.data });
  return "garbage" in read ? undefined : { href: jobPageOf(read.jobId), displayText: "Its job" };
}

/** Bull Board hides its buttons in read-only mode; this refuses the requests behind them as well. */
function refuseChanges(request: Request, response: Response, next: NextFunction): void {
  if (request.method === "GET" || request.method === "HEAD") {
    next();
    return;
  }
  response.setHeader("allow", "GET, HEAD");
  sendProblem(response, {
    status: 405,
    code: "method-not-allowed",
    title: "The board is read-only",
    detail: "Jobs are cancelled and retried through the API.",
  });
}

/** Bull Board's page loads fonts from another site, which would learn that an operator has opened the page. */
function keepToThisSite(_request: Request, response: Response, next: NextFunction): void {
  response.setHeader(
    "content-security-policy",
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'",
  );
  next();
}

function refuseWithout(link: RedisLink) {
  return (_request: Request, response: Response, next: NextFunction): void => {
    if (link.isReady()) {
      next();
      return;
    }
    sendProblem(response, {
      status: 503,
      code: "tickets-unavailable",
      title: "Redis is not reachable",
      detail: "The board shows tickets, which live in Redis. Jobs are safe in PostgreSQL.",
    });
  };
}

function sendProblem(
  response: Response,
  problem: { status: number; code: string; title: string; detail: string },
): void {
  response.status(problem.status).type("application/problem+json").send(JSON.stringify(problem));
}
