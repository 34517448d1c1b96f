import { type Response } from "express";
import { principalOf } from "../access/access.ts";
import { baseUrlOf } from "../http/base-url.ts";
import { type Onlooker } from "./job-details.ts";

/** Who sees the answer that is made, and where its links begin. */
export function onlookerOf(response: Response): Onlooker {
  return { principal: principalOf(response), baseUrl: baseUrlOf(response) };
}
