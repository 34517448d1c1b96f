import { NodeException } from "./node-run.ts";

/** The bytes that the simulated machine can allocate at once. */
const bytesMax = 24 * 1024 ** 3;

/** The memory of the simulated machine. */
export const memoryBytes = 32 * 1024 ** 3;

/** @throws NodeException when a tensor of that size would not fit, in the words of the CPU allocator (GRAPHS, 8) */
export function allocationFailed(bytes: number): void {
  if (bytes <= bytesMax) return;
  throw new NodeException(
    "RuntimeError",
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to " +
      `allocate ${bytes} bytes. Error code 12 (Cannot allocate memory)`,
  );
}

/** The error of a GPU when a model and its batch do not fit. */
export function outOfGpuMemory(): NodeException {
  return new NodeException(
    "torch.OutOfMemoryError",
    "Allocation on device 0 would exceed allowed memory. (out of memory)",
  );
}
