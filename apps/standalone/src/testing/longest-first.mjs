// The order in which Jest runs test files (jest.config.ts). Jest begins with the largest files where it has not measured them yet, as
// after a fresh clone. Some of the longest are small, and would be left alone at the end of a run.
import { join } from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../../../..", import.meta.url));

/** Jest's own, which is a part of Jest and not a dependency of this project. */
const { default: Sequencer } = createRequire(createRequire(import.meta.url).resolve("jest"))(
  "@jest/test-sequencer",
);

/** Files that take longer than a minute in a whole run, the longest first. */
const longest = [
  "apps/api/test/schemathesis.test.ts",
  "apps/api/test/pages-in-browser.test.ts",
  "apps/worker/test/odd-servers.test.ts",
  "packages/comfyui-simulator/test/conformance/conformance.test.ts",
  "apps/standalone/test/demo.test.ts",
  "apps/worker/test/queue-depth.test.ts",
  "apps/worker/test/take-back-deaths.test.ts",
  "apps/worker/test/recovery.test.ts",
  "packages/chaos/test/chaos.test.ts",
  "apps/worker/test/keeping.test.ts",
  "apps/worker/test/servers-file.test.ts",
  "apps/standalone/test/acceptance/mixed-versions.test.ts",
  "apps/worker/test/unrecorded-ends.test.ts",
  "apps/worker/test/take-back-races.test.ts",
  "apps/cli/test/cli.test.ts",
  "apps/worker/test/take-back.test.ts",
  "apps/standalone/test/acceptance/isolation/isolation.test.ts",
  "packages/comfyui-simulator/test/conformance/door.test.ts",
  "apps/standalone/test/acceptance/who-dies-where.test.ts",
  "apps/standalone/test/acceptance/cut-network.test.ts",
].map((path) => join(project, path));

class LongestFirst extends Sequencer {
  sort(tests) {
    const place = ({ path }) => (longest.includes(path) ? longest.indexOf(path) : longest.length);
    return super.sort(tests).toSorted((one, other) => place(one) - place(other));
  }
}
export { LongestFirst as default };
