import { JobNotFoundError, JobRemovedError, type Principal } from "@genga/jobs";
import { type DoorParts } from "./door-parts.ts";

/** Prompts that are cancelled at once. */
const atOnce = 8;

/**
 * Cancels prompts of the key that sent the request, and of no other: the clear of a plugin must not cancel what somebody else of
 * the tenant has submitted.
 * @returns whether any was cancelled, or its worker was asked to
 */
export async function cancelPrompts(
  which: { promptIds?: readonly string[]; status?: "queued" | "processing" },
  principal: Principal,
  { door, jobCommands }: Pick<DoorParts, "door" | "jobCommands">,
): Promise<boolean> {
  const { tenant, keyName } = principal;
  const found = await door.prompts.findActiveJobs(tenant.id, keyName, which);
  const commands = jobCommands(principal);
  let [isAny, isShorter] = [false, false];
  for (let from = 0; from < found.length; from += atOnce) {
    const some = found.slice(from, from + atOnce);
    const outcomes = await Promise.all(
      some.map(({ jobId }) =>
        commands.requestCancel(jobId).catch((error: unknown) => {
          if (error instanceof JobNotFoundError || error instanceof JobRemovedError)
            return { outcome: "ended" };
          throw error;
        }),
      ),
    );
    isAny ||= outcomes.some(({ outcome }) => outcome !== "ended");
    isShorter ||= outcomes.some(({ outcome }, index) => outcome !== "ended" && some[index]?.waits === true);
  }
  // Of one that runs, clients are told when it has ended.
  if (isShorter) door.upgrades.noteQueue(tenant.id);
  return isAny;
}
