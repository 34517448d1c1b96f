import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Queue } from "bullmq";
import { Router, type Application, type NextFunction, type Request, type Response } from "express";
import { RedisLink, type QueueLogger } from "./redis/redis-link.ts";
import { shownNameOf } from "./tickets/ticket-data.ts";

export interface QueueBoardOptions {
  redisUrl: string;
  /** The same prefix as that of the ticket queue; default: `genga`. */
  prefix?: string;
  /** Each lane is one queue on the board. */
  lanes: string[];
  /** Where the router is mounted, such as `/admin/queues`: the page's links begin with it. */
  basePath: string;
  logger: QueueLogger;
}

export interface QueueBoard {
  /** To be mounted at `basePath`. Answers 503 with a problem document while Redis is away. */
  router: Router;
  close(): Promise<void>;
}

/** Bull Board, read-only: shows every ticket, its progress, log lines and reason; changes nothing. */
export function createQueueBoard(options: QueueBoardOptions): QueueBoard {
  const { redisUrl, prefix = "genga", lanes, basePath, logger } = options;
  const link = new RedisLink({ redisUrl, purpose: "queue board", logger });
  const queues = lanes.map(
    (lane) =>
      new Queue(lane, { connection: link.redis, prefix, skipVersionCheck: true, skipMetasUpdate: true }),
  );
  for (const queue of queues) queue.on("error", () => undefined); // The link logs outages.
  const board = new ExpressAdapter().setBasePath(basePath);
  createBullBoard({
    queues: queues.map((queue) => {
      const adapter = new BullMQAdapter(queue, { readOnlyMode: true });
      adapter.setFormatter("name", shownNameOf);
      return adapter;
    }),
    serverAdapter: board,
    options: { uiConfig: { boardTitle: "Genga tickets" } },
  });
  const pages = board.getRouter() as Application;
  pages.disable("x-powered-by");
  const router = Router();
  router.use(refuseChanges, refuseWithout(link), keepToThisSite, pages);
  return {
    router,
    close: async () => {
      for (const queue of queues) await queue.close();
      await link.close();
    },
  };
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
