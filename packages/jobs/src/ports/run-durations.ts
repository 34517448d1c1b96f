/** How long one node of a graph takes. */
export interface NodeDuration {
  ms: number;
  /** `ms` is the time of one of its steps, not of the whole node. */
  perStep: boolean;
}

/** What was measured of the runs that have one key (`durationKeys`). */
export interface DurationRow {
  key: string;
  /** Natural logarithms of the latest runs' milliseconds, oldest first; of keys that scale, per unit of work. */
  samples: number[];
  /** By the keys of nodes; only of nodes that take a noticeable part of the time. */
  nodes: Record<string, NodeDuration>;
}

/** One measurement for one key. */
export interface DurationSample {
  key: string;
  /** As in `DurationRow.samples`. */
  sample: number;
  nodes: Record<string, NodeDuration>;
}

/** How far the latest estimates were off. */
export interface EstimateError {
  /** The median of |estimate − run| ÷ run; `null` = no estimated run has ended yet. */
  medianError: number | null;
  /** Of how many runs. */
  runs: number;
}

/**
 * What was measured of completed runs: without waiting, and without loads of models, which have keys of their own. Every
 * method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface RunDurations {
  /** Those of these keys of which something was measured. */
  findDurations(keys: readonly string[]): Promise<DurationRow[]>;
  /**
   * Adds measurements, in their order, and how far estimates were off. Keys that no run has had for the longest time are
   * forgotten beyond a bound.
   */
  addDurations(samples: readonly DurationSample[], errors: readonly number[]): Promise<void>;
  readEstimateError(): Promise<EstimateError>;
}
