import { type Lane } from "../job/lane.ts";

/** What is known of lanes. Every method throws `StoreUnavailableError` when the database cannot be reached. */
export interface LaneStore {
  /**
   * Those of the lanes whose needs are known. The needs of a name never change. Absent are the lane `default`, and lanes
   * that were not used for so long that their rows were removed.
   */
  findLanes(names: readonly string[]): Promise<Lane[]>;
}
