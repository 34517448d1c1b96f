import { pythonText } from "../../python/python-values.ts";
import { NodeException, type NodeImplementation } from "../node-run.ts";
import { plain } from "../node-values.ts";
import { plainInput, textInput } from "../read-input.ts";

/** A node made for tests, which says the key that it was given for partner nodes (fixtures/telling_nodes.py of the worker). */
export const tellingNodes: Readonly<Record<string, NodeImplementation>> = {
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
