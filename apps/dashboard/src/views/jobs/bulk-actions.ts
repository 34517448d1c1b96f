import { type Job } from "@genga/client";
import { messageOf } from "../../connection/api-errors.ts";

/** Requests at the same time: a tenant may have few, and others wait for theirs. */
const atOnce = 4;

export interface BulkResult {
  readonly done: number;
  /** How many jobs were refused, by what the API says about it. */
  readonly refused: ReadonlyMap<string, number>;
}

/** Does the same to each job. Those that are refused do not keep it from the others. */
export async function doToEach(
  jobs: readonly Pick<Job, "id">[],
  act: (id: string) => Promise<unknown>,
  onProgress: (ended: number) => void = () => undefined,
): Promise<BulkResult> {
  const refused = new Map<string, number>();
  const waiting = [...jobs];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      try {
        await act(job.id);
        done += 1;
      } catch (error) {
        const { title, detail } = messageOf(error);
        const reason = detail === "" ? title : detail;
        refused.set(reason, (refused.get(reason) ?? 0) + 1);
      }
      onProgress(jobs.length - waiting.length);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return { done, refused };
}

/** What a person is told at the end: how many, and why others not. */
export function resultText({ done, refused }: BulkResult, participle: string): string {
  const not = [...refused].map(
    ([reason, count]) => `${count} ${count === 1 ? "was" : "were"} not: ${reason}`,
  );
  return [`${done} ${done === 1 ? "job was" : "jobs were"} ${participle}.`, ...not].join("\n");
}
