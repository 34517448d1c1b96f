import { type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { type NodeValue, plain } from "../node-values.ts";
import { numberInput, textInput } from "../read-input.ts";

/** Nodes that make or change a conditioning: here it is the text that it was made from. */
export const conditioningNodes: Readonly<Record<string, NodeImplementation>> = {
  CLIPTextEncode: (run) => ({ outputs: [{ kind: "conditioning", text: textInput(run, "text") }] }),
  CLIPTextEncodeFlux: (run) => ({
    outputs: [{ kind: "conditioning", text: textInput(run, "t5xxl") || textInput(run, "clip_l") }],
  }),
  TextEncodeHunyuanVideo_ImageToVideo: (run) => ({
    outputs: [{ kind: "conditioning", text: textInput(run, "prompt") }],
  }),
  FluxGuidance: passConditioning,
  ConditioningSetTimestepRange: passConditioning,
  ConditioningZeroOut: () => ({ outputs: [{ kind: "conditioning", text: "" }] }),
  ConditioningCombine: (run) => {
    const texts = ["conditioning_1", "conditioning_2"].map((name) => conditioningText(run.inputs.get(name)));
    return { outputs: [{ kind: "conditioning", text: texts.filter((text) => text !== "").join(", ") }] };
  },
  ControlNetApplyAdvanced: passPair,
  LTXVConditioning: passPair,
  SVD_img2vid_Conditioning: (run) => {
    const empty: NodeValue = { kind: "conditioning", text: "" };
    return { outputs: [empty, empty, startLatent(run, "video_frames")] };
  },
  WanImageToVideo: (run) => ({ outputs: [...passPair(run).outputs, startLatent(run, "length", 4)] }),
  WanVaceToVideo: (run) => ({ outputs: [...passPair(run).outputs, startLatent(run, "length", 4), plain(0)] }),
  LTXVImgToVideo: (run) => ({ outputs: [...passPair(run).outputs, startLatent(run, "length", 8)] }),
};

/** The text behind a conditioning. */
export function conditioningText(value: NodeValue | undefined): string {
  return value?.kind === "conditioning" ? value.text : "";
}

function passConditioning(run: NodeRun): NodeResult {
  return { outputs: [{ kind: "conditioning", text: conditioningText(run.inputs.get("conditioning")) }] };
}

function passPair(run: NodeRun): NodeResult {
  const [positive, negative] = ["positive", "negative"].map((name) => conditioningText(run.inputs.get(name)));
  return {
    outputs: [
      { kind: "conditioning", text: positive ?? "" },
      { kind: "conditioning", text: negative ?? "" },
    ],
  };
}

/** An empty latent of a video; lengths are rounded the way these models compress time. */
function startLatent(run: NodeRun, lengthInput: string, step = 1): NodeValue {
  const length = numberInput(run, lengthInput, 1);
  const count = step === 1 ? length : Math.floor((length - 1) / step) * step + 1;
  const [width, height] = [numberInput(run, "width", 512), numberInput(run, "height", 512)];
  return {
    kind: "latent",
    width: width - (width % 8),
    height: height - (height % 8),
    count,
    pictures: undefined,
  };
}
