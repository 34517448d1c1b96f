import { expect, test } from "@jest/globals";

import { classifyExecutionError, executionErrorOf, warningOf } from "./execution-errors.ts";

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

const asynchronously =
  "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect." +
  "\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n";

test.each([
  ["RuntimeError", `CUDA error: unspecified launch failure${asynchronously}`],
  ["torch.AcceleratorError", `CUDA error: device-side assert triggered${asynchronously}`],
  ["RuntimeError", `HIP error: an illegal memory access was encountered${asynchronously}`],
  ["RuntimeError", "HIP error: no ROCm-capable device is detected\n"],
  ["RuntimeError", "CUDA driver error: unknown error\n"],
  ["RuntimeError", "Triton Error [CUDA]: an illegal memory access was encountered\n"],
  ["RuntimeError", "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED\n"],
  ["RuntimeError", "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`\n"],
  ["OSError", "[Errno 28] No space left on device: '/comfyui/output/a_00001_.png'\n"],
  ["OSError", "[Errno 28] No space left on device\n"],
  ["av.error.OSError", "[Errno 28] No space left on device: '/comfyui/output/a_00001_.mp4'\n"],
  ["OSError", "[Errno 5] Input/output error\n"],
])("%s: %s says that the server's GPU or disk is broken", (type, message) => {
  expect(classifyExecutionError({ exception_type: type, exception_message: message })).toBe("device");
});

test("a broken GPU or disk is the server's fault, and its error names the node", () => {
  const error = failed(`CUDA error: unspecified launch failure${asynchronously}`);
  expect(error).toMatchObject({ code: "device_failed", errorClass: "server", nodeId: "2" });
  expect(error.message).toBe(
    "Node 2 (UpscaleModelLoader) failed: RuntimeError: CUDA error: unspecified launch failure",
  );
});

test.each([
  ["ValueError", "boom\n"],
  ["RuntimeError", `CUDA error: invalid argument${asynchronously}`],
  ["RuntimeError", `CUDA error: no kernel image is available for execution on the device${asynchronously}`],
  ["RuntimeError", "No CUDA GPUs are available\n"],
  ["OSError", "[Errno 30] Read-only file system: '/comfyui/custom_nodes/pack/cache.json'\n"],
  ["RuntimeError", "CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm( handle )`\n"],
  ["ValueError", "I cannot parse 'CUDA error: unspecified launch failure' as a number\n"],
  ["ValueError", "[Errno 28] No space left on device\n"],
  ["FileNotFoundError", "[Errno 2] No such file or directory: '[Errno 28] No space left on device'\n"],
  ["PermissionError", "[Errno 13] Permission denied: '/comfyui/output'\n"],
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

test.each([
  ["Execution Blocked: no face", "ExecutionBlocked", "was blocked, and what it makes is missing: no face"],
  ["boom\n", "ValueError", "failed, and the server went on without it: ValueError: boom"],
])("%s (%s), said before a success, is a warning: the node %s", (message, type, what) => {
  const warning = warningOf({
    ...{ prompt_id: "p", node_id: "9", node_type: "SaveImage" },
    ...{ exception_type: type, exception_message: message },
  });
  expect(warning).toBe(`Node 9 (SaveImage) ${what}`);
});

function failed(message: string): ReturnType<typeof executionErrorOf> {
  return executionErrorOf({
    ...{ prompt_id: "p", node_id: "2", node_type: "UpscaleModelLoader" },
    ...{ exception_type: "RuntimeError", exception_message: message },
  });
}

test("a first line that ends in a colon is no reason: what follows it is", () => {
  const message =
    'Error(s) in loading state_dict for RRDBNet:\n\tMissing key(s) in state_dict: "conv_first.weight". \n' +
    "\tsize mismatch for conv_last.weight: copying a param with shape torch.Size([3]) from checkpoint.\n";
  const error = failed(message);
  expect(error.message).toBe(
    "Node 2 (UpscaleModelLoader) failed: RuntimeError: Error(s) in loading state_dict for RRDBNet: " +
      'Missing key(s) in state_dict: "conv_first.weight".',
  );
  expect(error.exceptionMessage).toBe(message.trim());
});

test("an exception that says nothing after its colon, or begins with empty lines, is told as it is", () => {
  expect(failed("Failed:\n\n").message).toBe("Node 2 (UpscaleModelLoader) failed: RuntimeError: Failed:");
  expect(failed("\n\n  boom\nmore\n").message).toBe("Node 2 (UpscaleModelLoader) failed: RuntimeError: boom");
});

test("a message of any length is kept, with its beginning and its end", () => {
  const keys = Array.from({ length: 5_000 }, (_unused, index) => `"layer.${index}.weight"`).join(", ");
  const error = failed(`Error(s) in loading:\n\tMissing key(s): ${keys}\n\tThe last line.\n`);
  expect(error.message.length).toBeLessThan(1_200);
  expect(error.message).toContain('Error(s) in loading: Missing key(s): "layer.0.weight"');
  expect(error.exceptionMessage?.length).toBeLessThan(8_100);
  expect(error.exceptionMessage).toMatch(
    /^Error\(s\) in loading:\n[^]*characters are left out[^]*The last line\.$/,
  );
});
