/** One job of the demonstration, as `POST /api/anime/batches` takes it. */
export type DemoJob = (
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
      readonly initImage: OutputOfJob;
    }
  | { readonly type: "workflow"; readonly workflow: DemoGraph }
) & {
  /** The name by which other jobs of the batch use its output. */
  readonly key?: string;
};

/** A ComfyUI graph in API format. */
export type DemoGraph = Record<string, DemoNode>;

/** Not an interface, since the client's type of a graph allows for further fields. */
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions
export type DemoNode = { class_type: string; inputs: Record<string, unknown> };

/** An output of another job, by that job's key and the output's place among all of them. */
export interface OutputOfJob {
  readonly from: string;
  readonly output: number;
}
