import { type DemoJob } from "./demo-job.ts";
import { plainImage, plainVideo } from "./plain-jobs.ts";

/** The first picture is also the one that the video begins with. Its key is the title of its line. */
const keyFrame = { from: "image 1", output: 0 };

const first = "counterfeit_v3.safetensors";
const second = "AOM3A1B.safetensors";

const scenes: readonly (readonly [model: string, prompt: string])[] = [
  [first, "a lighthouse above a sea of clouds, sunset, warm light, detailed sky"],
  [first, "a girl with a red scarf feeding pigeons in a snowy park, soft light"],
  [first, "a train station in the countryside, sunflowers, summer afternoon, cumulus clouds"],
  [first, "a young inventor and a friendly robot in a workshop full of plants"],
  [second, "a small bookshop on a rainy evening street, lanterns, reflections"],
  [second, "a fox spirit asleep under a cherry tree, falling petals, spring morning"],
  [second, "a cat watching fireworks from a tiled roof, summer festival, night"],
  [second, "a tea house by a mountain lake, autumn leaves, morning mist"],
];

/**
 * The jobs of `npm run demo`: eight pictures, four each with two checkpoints, and a video of two seconds, which waits for
 * the first picture and begins with it.
 */
export const demoJobs: readonly DemoJob[] = [
  ...scenes.map(([model, prompt], index): DemoJob => ({
    ...(index === 0 && { key: keyFrame.from }),
    type: "image",
    prompt,
    model,
    seed: 1000 + index,
    width: 768,
    height: 512,
    steps: 20,
  })),
  {
    type: "video",
    prompt: "a lighthouse above a sea of clouds, its light turns, the clouds drift, sunset",
    initImage: keyFrame,
    model: first,
    seed: 2000,
    durationSeconds: 2,
    fps: 8,
    steps: 20,
  },
];

/** A problem of one job in the API's answer: where it is, and which values the API would accept there. */
export interface DemoProblem {
  readonly path: string;
  readonly code?: string | undefined;
  readonly accepted?: unknown;
}

/**
 * The batch for servers that lack models or nodes of the demonstration. A refused picture is made with a checkpoint
 * that the servers have, or, without any checkpoint, with nodes that need no model. A refused video is made with such
 * nodes, too, and still begins with the first picture. `undefined` if a job was refused for another reason, or cannot be simplified further.
 */
export function withoutWhatIsMissing(
  jobs: readonly DemoJob[],
  problems: readonly DemoProblem[],
): DemoJob[] | undefined {
  const changed = jobs.map((job, index) => {
    const own = problems.filter(({ path }) => path.startsWith(`jobs.${index}.`));
    if (own.length === 0) return job;
    const isMissing = own.every(({ code }) => code === "unknown-model" || code === "unknown-node-class");
    if (job.type === "workflow" || !isMissing) return undefined;
    const [only, ...others] = own;
    const model: unknown = Array.isArray(only?.accepted) ? only.accepted[0] : undefined;
    const isOnlyModel = others.length === 0 && only?.path === `jobs.${index}.model`;
    return job.type === "image" && isOnlyModel && typeof model === "string"
      ? { ...job, model }
      : {
          ...(job.key !== undefined && { key: job.key }),
          ...(job.type === "image" ? plainImage(index) : plainVideo(job.initImage)),
        };
  });
  const known = changed.filter((job) => job !== undefined);
  return known.length === jobs.length ? known : undefined;
}
