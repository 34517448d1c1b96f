import { pythonText } from "../../python/python-values.ts";
import { NodeException, type NodeImplementation } from "../node-run.ts";
import { openImage } from "./loader-nodes.ts";
import { plain } from "../node-values.ts";
import { plainInput, textInput } from "../read-input.ts";

/**
 * Nodes made for tests (fixtures/telling_nodes.py of the worker): one opens any name that it is given, as loaders of node
 * packs do, and one says the key that it was given for partner nodes.
 */
export const tellingNodes: Readonly<Record<string, NodeImplementation>> = {
  OpenByName: async (run) => ({
    outputs: (await openImage(run, textInput(run, "name"))).outputs.slice(0, 1),
  }),
  QuoteKey: (run) => {
    const given = plainInput(run, "key") ?? null;
    const key = pythonText(given);
    const said = `Unauthorized: ${key}`;
    switch (textInput(run, "how")) {
      case "failure":
        throw new NodeException("ValueError", said, ['custom_nodes/telling_nodes.py", line 43, in go']);
      case "warning":
        return { outputs: [{ kind: "blocked", message: said }] };
      default:
        return { outputs: [plain(said)], ui: { text: [`length ${given === null ? 0 : key.length}`, said] } };
    }
  },
};
