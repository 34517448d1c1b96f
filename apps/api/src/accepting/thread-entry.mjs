// Sources run as they are (docs/decisions/0003), in threads as well: a thread has to register tsx by itself.
import { register } from "tsx/esm/api";

register();
export const { work } = await import("./thread-main.ts");
