// Records a CPU profile of the process that imports this first, and writes it into PROFILE_FOLDER when the process ends. (Node
// 20 does not take --cpu-prof from NODE_OPTIONS, and services are started without further arguments.)
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { basename, dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.start");
  const app = basename(dirname(dirname(process.argv[1] ?? "process")));
  process.on("exit", () => {
    session.post("Profiler.stop", (error, result) => {
      if (error !== null) throw error;
      const path = join(process.env.PROFILE_FOLDER ?? ".", `${app}-${process.pid}.cpuprofile`);
      writeFileSync(path, JSON.stringify(result.profile));
    });
  });
}
