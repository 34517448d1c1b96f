import { setTimeout as sleep } from "node:timers/promises";

/** Long enough that asking takes little of the processor from those that are asked. */
const pauseMs = 25;

/**
 * Asks again, with a pause in between, until the answer is as wanted: for what sends no signal. What sends one is waited for by it.
 * @returns the answer that is
 */
export async function askUntil<Answer>(
  ask: () => Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    await sleep(pauseMs);
  }
}
