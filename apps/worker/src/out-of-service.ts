import { type Dependencies } from "./dependencies.ts";
import { WorkerDrain } from "./draining/worker-drain.ts";
import { type RunningJobs } from "./job/running-jobs.ts";
import { recycleCounter } from "./recycling/recycle-metrics.ts";
import { Recycler } from "./recycling/recycler.ts";
import { type ServerFleet } from "./servers/server-fleet.ts";
import { type TicketPump } from "./tickets/ticket-pump.ts";

interface Parts {
  fleet: ServerFleet;
  jobs: RunningJobs;
  pump: TicketPump;
}

/** What takes a worker, or one of its servers, out of service. @param parts is called once the worker is built */
export function createOutOfService(
  { serverUpkeep: upkeep, settings, registry, log }: Dependencies,
  parts: () => Parts,
): { drain: WorkerDrain; recycler: Recycler } {
  const claimsEnded = (): Promise<void> => parts().pump.claimsEnded();
  const drain = new WorkerDrain({
    jobsHeld: () => parts().jobs.count,
    claimsEnded,
    jobsOnServers: async () => upkeep.countProcessing(await parts().fleet.idsInItsCare()),
    onChange: (isDraining) => {
      parts().fleet.setLeaving(isDraining);
      if (!isDraining) parts().pump.triggerAnew();
    },
    log,
  });
  const recycler = new Recycler({
    ...{ upkeep, settings: settings.recycle, claimsEnded, log },
    owned: () => parts().fleet.owned,
    runsOn: (server) => parts().jobs.countOn(server),
    isDraining: () => drain.isDraining,
    ended: recycleCounter(registry),
  });
  return { drain, recycler };
}
