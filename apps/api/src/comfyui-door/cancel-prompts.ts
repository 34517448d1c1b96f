import { JobNotFoundError, JobRemovedError, type Principal } from "@genga/jobs";
import { type DoorParts } from "./door-parts.ts";

/** Prompts that are cancelled at once. */
const atOnce = 8;

/**
 * Cancels prompts of the key that sent the request, and of no other: the clear of a plugin must not cancel what somebody else of
 * the tenant has submitted.
 * @param which.state `waiting`: a prompt that has begun meanwhile goes on, as on a server
 * @returns whether any was cancelled, or its worker was asked to
 */
export async function cancelPrompts(
  which: { promptIds?: readonly string[]; state?: "waiting" | "begun" },
  principal: Principal,
  { door, jobCommands }: Pick<DoorParts, "door" | "jobCommands">,
): Promise<boolean> {
  const { tenant, keyName } = principal;
  const found = await door.prompts.findActiveJobs(tenant.id, keyName, which);
  const commands = jobCommands(principal);
  const onlyWaiting = which.state === "waiting";
  const cancel = async (jobId: string): Promise<boolean> => {
    try {
      const { outcome } = await commands.requestCancel(jobId, { onlyWaiting });
      return outcome === "cancelled" || outcome === "requested";
    } catch (error) {
      if (error instanceof JobNotFoundError || error instanceof JobRemovedError) return false;
      throw error;
    }
  };
  let [isAny, isShorter] = [false, false];
  for (let from = 0; from < found.length; from += atOnce) {
    const some = found.slice(from, from + atOnce);
    const areCancelled = await Promise.all(some.map(({ jobId }) => cancel(jobId)));
    isAny ||= areCancelled.includes(true);
    isShorter ||= areCancelled.some((isCancelled, index) => isCancelled && some[index]?.waits === true);
  }
  // Of one that runs, clients are told when it has ended.
  if (isShorter) door.upgrades.noteQueue(tenant.id);
  return isAny;
}
