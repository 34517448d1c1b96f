import path from "node:path";
import { tmpdir } from "node:os";
import { randomUUID } from "node:crypto";

/** How long the simulated work takes, in milliseconds; every value may be 0. */
export interface Timing {
  /** Loading a checkpoint that is not in memory. */
  readonly loadMs: number;
  /** One sampling step of one picture; a batch costs a fraction more per picture. */
  readonly stepMs: number;
  /** Writing one output, on top of what drawing and encoding really take. */
  readonly saveMs: number;
  /** How long a finished prompt may be missing from history after `execution_success` (PROTOCOL 0.1). */
  readonly historyLagMs: number;
}

/** The files that the model folders contain, by folder name as `/models` lists them. */
export type ModelFiles = Readonly<Record<string, readonly string[]>>;

/** 0.3 stands for 0.3.64. */
export type ApiVersion = "0.3" | "0.28";

type CacheKeeps = "last-prompt" | "every-prompt";

export interface SimulatorOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 (the default) takes a free port. */
  readonly port?: number;
  /** Port of the control interface; 0 (the default) takes a free one. */
  readonly controlPort?: number;
  /** Folder that holds `input`, `output` and `temp`; default: a new one under the system's temp folder. */
  readonly dataDir?: string;
  /** Output folder, if it should not be the one under `dataDir`. */
  readonly outputDir?: string;
  readonly timing?: Partial<Timing>;
  /** Replaces the listed folders of the default model files, e.g. `{ checkpoints: ["a.safetensors"] }`. */
  readonly models?: ModelFiles;
  /** Node packs installed; default core, animatediff, video-helper-suite, recording-nodes; telling-nodes is for tests. */
  readonly nodePacks?: readonly string[];
  /** File to which every start and end of an execution is appended; survives a kill. */
  readonly executionLog?: string;
  /** Largest request body, in bytes; default 100 MiB. */
  readonly bodyBytesMax?: number;
  /** Whether samplers send previews; default true. */
  readonly previews?: boolean;
  /** The version to simulate: ComfyUI 0.28.0 (default) or 0.3.64, as recorded. */
  readonly api?: ApiVersion;
  /**
   * Which results stay cached: those of the last prompt, or those of every earlier one. A server of 0.28 does the
   * latter while it has more memory free than most machines have (PROTOCOL-0.28, 4). Default "last-prompt".
   */
  readonly cacheKeeps?: CacheKeeps;
  /** How long the ports stay closed after the start. */
  readonly startDelayMs?: number;
  /** What a crash of the server does. Default: the server stops, and the process continues. */
  readonly onCrash?: (reason: string) => void;
}

export interface ResolvedOptions {
  readonly host: string;
  readonly port: number;
  readonly controlPort: number;
  readonly dataDir: string;
  readonly ownsDataDir: boolean;
  readonly outputDir: string;
  readonly timing: Timing;
  readonly models: ModelFiles;
  readonly nodePacks: readonly string[];
  readonly executionLog: string | undefined;
  readonly bodyBytesMax: number;
  readonly previews: boolean;
  readonly api: ApiVersion;
  readonly cacheKeeps: CacheKeeps;
  readonly startDelayMs: number;
}

/** Chosen for a person who watches: a picture takes seconds. */
export const defaultTiming: Timing = { loadMs: 1_500, stepMs: 60, saveMs: 30, historyLagMs: 8 };

const knownNodePacks = ["core", "animatediff", "video-helper-suite", "recording-nodes"] as const;

const defaultModels: ModelFiles = {
  checkpoints: ["AOM3A1B.safetensors", "anything_v5.safetensors", "counterfeit_v3.safetensors"],
  configs: [],
  loras: ["add_detail.safetensors", "flat_color.safetensors", "sketch_lines.safetensors"],
  vae: ["kl-f8-anime2.safetensors", "vae-ft-mse-840000-ema-pruned.safetensors"],
  text_encoders: ["clip_l.safetensors", "t5xxl_fp16.safetensors", "umt5_xxl_fp8_e4m3fn_scaled.safetensors"],
  diffusion_models: ["flux1-dev.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"],
  clip_vision: ["clip_vision_h.safetensors"],
  style_models: [],
  embeddings: ["EasyNegative.safetensors"],
  diffusers: [],
  vae_approx: [],
  controlnet: ["control_v11p_sd15_lineart.safetensors"],
  gligen: [],
  upscale_models: ["RealESRGAN_x4plus_anime_6B.pth"],
  custom_nodes: [],
  hypernetworks: [],
  photomaker: [],
  classifiers: [],
  model_patches: [],
  audio_encoders: [],
  animatediff_models: ["mm_sd_v15_v2.ckpt", "v3_sd15_mm.ckpt"],
  animatediff_motion_lora: ["v2_lora_PanLeft.ckpt", "v2_lora_ZoomIn.ckpt"],
};

export function resolveOptions(options: SimulatorOptions): ResolvedOptions {
  const dataDir = path.resolve(options.dataDir ?? path.join(tmpdir(), `comfyui-simulator-${randomUUID()}`));
  return {
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    controlPort: options.controlPort ?? 0,
    dataDir,
    ownsDataDir: options.dataDir === undefined,
    outputDir: path.resolve(options.outputDir ?? path.join(dataDir, "output")),
    timing: { ...defaultTiming, ...options.timing },
    models: { ...defaultModels, ...options.models },
    nodePacks: options.nodePacks ?? knownNodePacks,
    executionLog: options.executionLog,
    bodyBytesMax: options.bodyBytesMax ?? 100 * 1024 * 1024,
    previews: options.previews ?? true,
    api: options.api ?? "0.28",
    cacheKeeps: options.cacheKeeps ?? "last-prompt",
    startDelayMs: options.startDelayMs ?? 0,
  };
}
