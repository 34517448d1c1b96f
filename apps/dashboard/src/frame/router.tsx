import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { baseUrl } from "../connection/genga.ts";
import { Frame } from "./frame.tsx";
import { NotFound } from "./not-found.tsx";
import { FailedView } from "./failed-view.tsx";
import { SignIn } from "../views/sign-in.tsx";
import { readBatchesSearch, readBatchSearch } from "../views/batches/batch-search.ts";
import { readJobSearch } from "../views/job/job-search.ts";
import { readCreateSearch } from "../views/create/create-search.ts";
import { readOverviewSearch } from "../views/overview/ends.ts";
import { readJobsSearch } from "../views/jobs/jobs-search.ts";

/** Only a path of this page: the address is opened after signing in. */
const readNext = (search: Record<string, unknown>): { next?: string } =>
  typeof search["next"] === "string" && /^\/(?![/\\])/.test(search["next"]) ? { next: search["next"] } : {};

const root = createRootRoute({ notFoundComponent: NotFound });
const signIn = createRoute({
  ...{ getParentRoute: () => root, path: "/sign-in", component: SignIn, validateSearch: readNext },
});
/** Everything but the sign-in: with navigation, and only for whoever has signed in. */
const frame = createRoute({ getParentRoute: () => root, id: "frame", component: Frame });
const inFrame = { getParentRoute: () => frame } as const;

const overview = createRoute({
  ...inFrame,
  path: "/",
  validateSearch: readOverviewSearch,
  component: lazyRouteComponent(() => import("../views/overview/overview.tsx"), "Overview"),
});
const jobs = createRoute({
  ...inFrame,
  path: "/jobs",
  validateSearch: readJobsSearch,
  component: lazyRouteComponent(() => import("../views/jobs/jobs.tsx"), "Jobs"),
});
const job = createRoute({
  ...inFrame,
  path: "/jobs/$id",
  validateSearch: readJobSearch,
  component: lazyRouteComponent(() => import("../views/job/job.tsx"), "JobView"),
});
const batches = createRoute({
  ...inFrame,
  path: "/batches",
  validateSearch: readBatchesSearch,
  component: lazyRouteComponent(() => import("../views/batches/batches.tsx"), "Batches"),
});
const batch = createRoute({
  ...inFrame,
  path: "/batches/$id",
  validateSearch: readBatchSearch,
  component: lazyRouteComponent(() => import("../views/batches/batch.tsx"), "BatchView"),
});
const create = createRoute({
  ...inFrame,
  path: "/create",
  validateSearch: readCreateSearch,
  component: lazyRouteComponent(() => import("../views/create/create.tsx"), "Create"),
});
const servers = createRoute({
  ...inFrame,
  path: "/servers",
  component: lazyRouteComponent(() => import("../views/servers/servers.tsx"), "Servers"),
});
const queue = createRoute({
  ...inFrame,
  path: "/queue",
  component: lazyRouteComponent(() => import("../views/queue/queue.tsx"), "QueueView"),
});
const settings = createRoute({
  ...inFrame,
  path: "/settings",
  component: lazyRouteComponent(() => import("../views/settings/settings.tsx"), "Settings"),
});
const settingsSection = createRoute({
  ...inFrame,
  path: "/settings/$section",
  component: lazyRouteComponent(() => import("../views/settings/settings.tsx"), "Settings"),
});

/** The addresses must be those of `pagePaths` of the API, which answers them with this page. */
export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    // prettier-ignore
    frame.addChildren([overview, jobs, job, batches, batch, create, servers, queue, settings, settingsSection]),
  ]),
  basepath: new URL(baseUrl).pathname,
  defaultPreload: "intent",
  defaultErrorComponent: FailedView,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
