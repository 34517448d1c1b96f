import { expect, test } from "@jest/globals";

import { classifyExecutionError, executionErrorOf } from "./execution-errors.ts";

test.each([
  [
    "torch.OutOfMemoryError",
    "Allocation on device 0 would exceed allowed memory. (out of memory)\nThis error means…",
  ],
  ["torch.cuda.OutOfMemoryError", "\n"],
  ["MemoryError", "\n"],
  ["RuntimeError", "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported\n"],
  ["RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB\n"],
  [
    "RuntimeError",
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried\n",
  ],
  ["RuntimeError", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED\n"],
  ["RuntimeError", "MPS backend out of memory (MPS allocated: 9 GB)\n"],
  ["numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 4.00 GiB for an array\n"],
])("%s: %s is out of memory", (type, message) => {
  expect(classifyExecutionError({ exception_type: type, exception_message: message })).toBe("out_of_memory");
});

test.each([
  ["ValueError", "boom\n"],
  ["RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x768 and 2048x320)\n"],
  ["KeyError", "\n"],
])("%s: %s is an ordinary failure", (type, message) => {
  expect(classifyExecutionError({ exception_type: type, exception_message: message })).toBe("execution");
});

test("an error without a message is worded by its class", () => {
  const error = executionErrorOf({
    prompt_id: "p",
    node_id: "2",
    node_type: "Work",
    exception_type: "ValueError",
    exception_message: "\n",
  });
  expect(error.message).toBe("Node 2 (Work) failed: ValueError");
});
