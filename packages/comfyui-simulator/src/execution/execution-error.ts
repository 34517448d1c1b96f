import { type DrawingThread } from "../drawing/drawing-thread.ts";
import { describeValue } from "../nodes/describe-value.ts";
import { NodeException } from "../nodes/node-run.ts";
import { type NodeValue } from "../nodes/node-values.ts";
import { type PythonJson } from "../python/python-json.ts";

/** What the server appends to the message of an out-of-memory error. */
const outOfMemoryTip =
  "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have " +
  "accidentally set the batch_size to a large number.";

/** The frames of the server itself, above every node. */
const serverFrames = [
  'execution.py", line 496, in execute',
  'execution.py", line 315, in get_output_data',
  'execution.py", line 289, in _async_map_node_over_list',
  'execution.py", line 277, in process_inputs',
];

/** The part of `execution_error` that describes the exception and the node's inputs (PROTOCOL 3). */
export async function executionError(
  error: unknown,
  inputs: ReadonlyMap<string, readonly NodeValue[]>,
  drawing: DrawingThread,
): Promise<Record<string, PythonJson>> {
  const raised = error instanceof NodeException ? error : unexpected(error);
  const currentInputs = new Map<string, PythonJson>();
  for (const [name, values] of inputs) {
    const described: PythonJson[] = [];
    for (const value of values) described.push(await describeValue(value, drawing));
    currentInputs.set(name, described);
  }
  const tip = raised.type === "torch.OutOfMemoryError" ? outOfMemoryTip : "";
  return {
    exception_message: `${raised.message}\n${tip}`,
    exception_type: raised.type,
    traceback: [...serverFrames, ...raised.frames].map(
      (frame) => `  File "/comfyui/${frame}\n    <source line>\n`,
    ),
    current_inputs: currentInputs,
  };
}

/** Reports a fault of this simulator in the way of a broken node. */
function unexpected(error: unknown): NodeException {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${error instanceof Error ? (error.stack ?? message) : message}\n`);
  return new NodeException("RuntimeError", message);
}
