/**
 * What it costs that jobs wait for others: chains of three jobs, each waiting for the one before, beside as many independent
 * jobs, in turns, on 64 servers that do nothing. Prints the ratio of the walls.
 *
 * npm run bench:chains [-- --chains 2000 --servers 64 --rounds 3]
 */
import { ApiClient } from "@genga/testing";
import { z } from "zod";
import { median } from "./support/median.ts";
import { startNullFarm } from "./support/null-farm.ts";
import { nullGraph } from "./support/null-graph.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { untilCompleted } from "./support/until-completed.ts";

const optionsSchema = z.object({
  chains: count.default(2_000),
  servers: count.default(64),
  rounds: count.default(3),
});
const steps = 3;
const warmUpChains = 200;

function jobs(name: string, chains: number, { dependent }: { dependent: boolean }): object[] {
  return Array.from({ length: chains * steps }, (_, index) => ({
    ...{ type: "workflow", key: `job ${index}`, workflow: nullGraph(name, index) },
    ...(dependent && index % steps > 0 && { dependsOn: [`job ${index - 1}`] }),
  }));
}

export async function run({ chains, servers, rounds }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const farm = await startNullFarm({ servers });
  try {
    const api = new ApiClient(farm.apiUrl);
    const timeOf = async (name: string, of: number, dependent: boolean): Promise<number> => {
      const batch = jobs(name, of, { dependent });
      const startedAt = performance.now();
      const { id } = await api.submitBatch(batch);
      await untilCompleted(api, id, batch.length);
      return performance.now() - startedAt;
    };
    for (const dependent of [false, true]) await timeOf(`warm-up ${dependent}`, warmUpChains, dependent);
    const ratios: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const alone = await timeOf(`alone ${round}`, chains, false);
      const chained = await timeOf(`chained ${round}`, chains, true);
      ratios.push(chained / alone);
      console.log(
        `round ${round}: ${chains} chains ${chained.toFixed(0)} ms, as many jobs alone ${alone.toFixed(0)} ms`,
      );
    }
    return [
      {
        ...{
          bench: "chains",
          figure: "wall of chains ÷ of independent jobs",
          value: median(ratios),
          unit: "×",
        },
        ...{ reach: { atMost: 1.2 }, note: `${chains} chains of ${steps} jobs, ${rounds} rounds` },
      },
    ];
  } finally {
    await farm.stop();
  }
}

await runBenchmark(optionsSchema, run);
