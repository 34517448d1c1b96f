import { type ApiDependencies } from "../dependencies.ts";

/** What routes of the door may use. */
export type DoorParts = ApiDependencies;
