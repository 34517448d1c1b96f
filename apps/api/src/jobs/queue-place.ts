import { type JobsBefore, type LaneFacts } from "@genga/jobs";
import { type WaitingReason } from "./waiting-view.ts";
import { type Sight } from "../access/sight.ts";

const figures = new Intl.NumberFormat("en");

/**
 * Tenants learn how many of their own jobs come first, operators also how many of other tenants.
 * @param unloadedModel the model that a server must load for the job, since no server that could take it now has it loaded
 */
export function placeInQueue(
  { own, others, isMore }: JobsBefore,
  { operates }: Sight,
  unloadedModel: string | null,
): { code: WaitingReason["code"]; message: string } {
  const all = own + others;
  if (operates && all > 0 && (others > 0 || isMore.all)) {
    const ofOthers = others === 0 ? "" : `, ${figures.format(others)} of other tenants`;
    return {
      code: "behind-others",
      message: `${come(all, isMore.all)} before it${isMore.all ? "" : ofOthers}.`,
    };
  }
  if (own > 0) return { code: "behind-others", message: `${come(own, isMore.own)} before it.` };
  if (unloadedModel !== null) {
    const who = operates ? "It is the next job" : "It is the next of its tenant's jobs";
    return { code: "next", message: `${who} for ${unloadedModel}, as soon as a server loads that model.` };
  }
  const who = operates ? "It is next" : "It is the next of its tenant's jobs";
  return { code: "next", message: `${who}, as soon as a server has room.` };
}

function come(count: number, isMore: boolean): string {
  if (isMore) return `More than ${figures.format(count)} jobs come`;
  return `${figures.format(count)} ${count === 1 ? "job comes" : "jobs come"}`;
}

/**
 * How long it will probably take until a server begins the job, from the measured run time of its lane: the jobs before
 * it one after the other, shared by the servers that can run them, and a load if no server has the model.
 * @param servers how many servers can run the lane's jobs and take work
 * @returns `null` = no execution of the lane was measured, or more jobs come before it than were counted
 */
export function estimateWaitMs(
  { own, others, isMore }: JobsBefore,
  lane: Pick<LaneFacts, "runMs" | "loadMs"> | undefined,
  { servers, isLoaded }: { servers: number; isLoaded: boolean },
): number | null {
  if (lane === undefined || lane.runMs === null || isMore.all || servers === 0) return null;
  const loadMs = isLoaded ? 0 : (lane.loadMs ?? 0);
  return Math.round(((own + others) * lane.runMs) / servers + loadMs);
}
