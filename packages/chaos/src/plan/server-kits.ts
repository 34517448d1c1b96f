import { type Random } from "./random.ts";

/** What one simulated server of the suite has. It holds one checkpoint in memory at a time. */
export interface ServerKit {
  checkpoints: readonly string[];
  labels: readonly string[];
}

const [first, second, third] = ["anything_v5", "counterfeit_v3", "AOM3A1B"].map(
  (name) => `${name}.safetensors`,
) as [string, string, string];
const [day, large] = ["pool:day", "gpu:24gb"] as const;

/** Every checkpoint and every label is on two servers, so that a job's needs decide where it may run after a fault. */
export const serverKits: readonly ServerKit[] = [
  { checkpoints: [first, second], labels: [day] },
  { checkpoints: [second, third], labels: [day, large] },
  { checkpoints: [third, first], labels: [large] },
];

export function drawCheckpoint(random: Random): string {
  return random.pick([first, second, third]);
}

/** Labels that a job requires. At least one server has them and the job's checkpoint. */
export function drawLabels(random: Random, checkpoint: string | null): string[] {
  if (!random.chance(0.25)) return [];
  const able = serverKits.filter(
    ({ checkpoints }) => checkpoint === null || checkpoints.includes(checkpoint),
  );
  return [random.pick(random.pick(able).labels)];
}
