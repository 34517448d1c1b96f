import { boardPath } from "../http/paths.ts";
import { html } from "../routing/contents.ts";
import { type MountedRoute } from "../routing/route.ts";

/** Bull Board, which shows the tickets. */
export const getBoard: MountedRoute = {
  id: "getBoard",
  tag: "service",
  method: "GET",
  path: boardPath,
  access: "operate",
  isPage: true,
  summary: "Bull Board, read-only",
  answers: { 200: { description: "A page.", content: html } },
  routerOf: ({ board }) => board.router,
};
