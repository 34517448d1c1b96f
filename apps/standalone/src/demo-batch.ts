/** One job of the demonstration, as `POST /api/anime/batches` takes it. */
export type DemoJob =
  | {
      readonly type: "image";
      readonly prompt: string;
      readonly model: string;
      readonly seed: number;
      readonly width: number;
      readonly height: number;
      readonly steps: number;
    }
  | {
      readonly type: "video";
      readonly prompt: string;
      readonly model: string;
      readonly seed: number;
      readonly durationSeconds: number;
      readonly fps: number;
      readonly steps: number;
    };

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

/** What `npm run demo` makes: eight pictures, four each with two checkpoints, and a video of two seconds. */
export const demoJobs: readonly DemoJob[] = [
  ...scenes.map(([model, prompt], index): DemoJob => ({
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
    prompt: "a paper boat drifting down a stream, fireflies, gentle water, dusk",
    model: first,
    seed: 2000,
    durationSeconds: 2,
    fps: 8,
    steps: 20,
  },
];
