import { z } from "zod";
import { wholeNumber } from "./setting-values.ts";

/** When a worker recycles its servers, and how. */
export interface RecycleSettings {
  /** After so many prompts; 0 = never. */
  readonly afterJobs: number;
  /** When less memory is free than that; 0 = never. */
  readonly freeVramBelowBytes: number;
  readonly freeRamBelowBytes: number;
  /** The least time between two recyclings of a server, except for those that an operator asks for. */
  readonly intervalMs: number;
  /** A program and its arguments, run without a shell; empty = none. */
  readonly hook: readonly string[];
  readonly hookTimeoutMs: number;
  /** A part of this process's own, which contains secrets: those of `hookVariables`, and those that an operator names. */
  readonly hookEnvironment: Readonly<Record<string, string | undefined>>;
}

const words = z.array(z.string()).min(1);

/** `["systemctl", "restart", "comfyui"]`, or the same as words without quotes. */
const hook = z.string().transform((text, context): readonly string[] => {
  const isJson = text.trimStart().startsWith("[");
  const parsed = words.safeParse(isJson ? jsonOrNull(text) : text.trim().split(/\s+/));
  if (parsed.success && parsed.data[0] !== "" && (isJson || !/["'\\$|&;<>`]/.test(text))) return parsed.data;
  context.addIssue({
    code: "custom",
    message:
      'a program and its arguments, without a shell: systemctl restart comfyui, or ["docker", "restart", "a name"]',
  });
  return z.NEVER;
});

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What programs, SSH, Docker and kubectl need to find their way, and no secrets. */
const hookVariables =
  /^(PATH|HOME|LANG|LC_\w+|TZ|USER|LOGNAME|SHELL|TMPDIR|XDG_RUNTIME_DIR|SSH_AUTH_SOCK|DOCKER_HOST|KUBECONFIG|KUBERNETES_SERVICE_\w+)$/;

/** Names of variables, separated by commas. */
const variableNames = z.string().transform((text, context): readonly string[] => {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => /^[A-Za-z_]\w*$/.test(name))) return names;
  context.addIssue({
    code: "custom",
    message: "names of variables, separated by commas: AWS_PROFILE, DOCKER_CONTEXT",
  });
  return z.NEVER;
});

const megabytesMax = 10_000_000;
const hourMs = 3_600_000;

/** The variables of these settings, in the order of `.env.example`. */
export const recycleVariables = {
  RECYCLE_AFTER_JOBS: wholeNumber(0, 1_000_000).default(0),
  RECYCLE_FREE_VRAM_BELOW_MB: wholeNumber(0, megabytesMax).default(0),
  RECYCLE_FREE_RAM_BELOW_MB: wholeNumber(0, megabytesMax).default(0),
  RECYCLE_INTERVAL_MS: wholeNumber(0, 30 * 24 * hourMs).default(10 * 60_000),
  RECYCLE_HOOK: hook.default([]),
  RECYCLE_HOOK_ENV: variableNames.default([]),
  RECYCLE_HOOK_TIMEOUT_MS: wholeNumber(100, hourMs).default(5 * 60_000),
};

export function recycleFrom(
  values: z.infer<z.ZodObject<typeof recycleVariables>>,
  env: RecycleSettings["hookEnvironment"],
): RecycleSettings {
  const isForHook = (name: string): boolean =>
    hookVariables.test(name) || values.RECYCLE_HOOK_ENV.includes(name);
  const hookEnvironment = Object.fromEntries(Object.entries(env).filter(([name]) => isForHook(name)));
  return {
    afterJobs: values.RECYCLE_AFTER_JOBS,
    freeVramBelowBytes: values.RECYCLE_FREE_VRAM_BELOW_MB * 1_000_000,
    freeRamBelowBytes: values.RECYCLE_FREE_RAM_BELOW_MB * 1_000_000,
    intervalMs: values.RECYCLE_INTERVAL_MS,
    hook: values.RECYCLE_HOOK,
    hookTimeoutMs: values.RECYCLE_HOOK_TIMEOUT_MS,
    hookEnvironment,
  };
}
