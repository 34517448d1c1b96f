import { type Database } from "@genga/database";
import { JobDetails } from "../jobs/job-details.ts";
import { RedisReach } from "../jobs/redis-reach.ts";
import { WaitingReasons } from "../jobs/waiting-reason.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { FarmWork } from "./farm-work.ts";
import { JobDurations } from "./job-durations.ts";
import { MeasuredEtas } from "./measured-etas.ts";

type Stores = Pick<Database, "jobReader" | "lanes" | "laneServing" | "runDurations" | "workOutlook">;

/** Builds what shows jobs, with why they wait and when they will end. */
export function createJobDetails(
  {
    database,
    servers,
    tickets,
  }: { database: Stores; servers: KnownServers; tickets: { ping(): Promise<unknown> } },
  { lanePatienceMs: patienceMs }: { lanePatienceMs: number },
): JobDetails {
  const { jobReader: jobs, lanes, laneServing, runDurations: durations, workOutlook: outlook } = database;
  const redisReach = new RedisReach(() => tickets.ping());
  const isRedisAway = (): Promise<boolean> => redisReach.isAway();
  const waitingReasons = new WaitingReasons({ jobs, servers, lanes, laneServing, isRedisAway });
  const etas = new MeasuredEtas({
    ...{ jobs, waitingReasons, outlook, patienceMs },
    durations: new JobDurations({ jobs, durations }),
    farmWork: new FarmWork(outlook),
  });
  return new JobDetails({ jobs, servers, waitingReasons, etas });
}
