import { describe, expect, test } from "@jest/globals";
import { z } from "zod";

import { needsOf, missingFrom, validateGraph, workflowSchema, type ObjectInfo } from "../src/index.ts";
import {
  recordedObjectInfo,
  recordedObjectInfo028,
  recordedPosts,
  recordedWorkflow,
  transcriptNames,
  type RecordedPost,
} from "./recordings.ts";

const everything = recordedObjectInfo();
const newer = recordedObjectInfo028();
const coreOnly = recordedObjectInfo("core", "recording-nodes");

/** Refused for something beside the graph: `number`, `extra_data`, `partial_execution_targets`, a duplicate id. */
const notAboutTheGraph = [
  "number not a number",
  "extra_data null with a client_id",
  "partial_execution_targets: unknown node",
  "partial_execution_targets: []",
  "partial_execution_targets: a node that is no output",
  "two waiting prompts with the same number AND the same prompt_id",
  // 0.28
  "extra_data null / text / list, with and without client_id; client_id list; number text (the prompt itself is valid)",
  "extra_data null, no client_id",
  "forms",
  "same number and same id while waiting",
];

/** Graphs with classes that the recorded definitions of 0.28 leave out. */
const classNotRecorded = [
  "a graph from before: ImageScaleToTotalPixels without resolution_steps",
  "full-size images over the socket",
  "the same with _meta",
];

/** Only the server can look into its folders. */
const forTheServerOnly = ["COMBO with remote, V1, with its own check: LoadImageOutput of a missing file"];

/** Accepted by the server, and refused by us, since it ends badly: here is the reason that we give instead. */
const refusedByUs: Record<string, string> = {
  'a node without "inputs" that no output needs': "8:missing_inputs",
  "40 frames without context options: over the module's own limit of 32 frames":
    "10.context_options:context_options_missing",
  "every input valid: ACCEPTED, all sampling is done, then the deprecated node fails at run time (TypeError): no video format works in it":
    "7.format:node_fails_at_run_time",
  "the same with video/webm: fails alike": "7.format:node_fails_at_run_time",
  "odd size 65x63: fails at run time (h264 yuv420p needs even sizes)": "3.video:odd_frame_size",
  "format webm in SaveVideo, which is not in its list: NOT caught by validation (the list of a new-style COMBO input is not checked); fails at run time":
    "3.format:value_not_in_list",
  // 0.28
  "constant for IMAGE": "2.image:invalid_input_type",
  'FLOAT given as the text "nan": passes min and max': "2.seconds:invalid_input_type",
  "the prompt waits behind another (2)": "2.seconds:invalid_input_type",
  "past the end: image0 and image50 (max 50 = image0..image49): accepted, fails when run":
    "2.images.image50:node_fails_at_run_time",
  "other spellings beside the right one: accepted, but linked ones reach the node and make it fail":
    "2.images.image_1:node_fails_at_run_time",
  "a constant where an IMAGE belongs": "2.images.image0:invalid_input_type",
  "unknown choice: accepted, then fails when run": "2.resize_type:node_fails_at_run_time",
  "choice left out: accepted, then fails when run": "2.resize_type:node_fails_at_run_time",
  "choice null": "2.resize_type:node_fails_at_run_time",
  "choice as a link": "2.resize_type:node_fails_at_run_time",
  "choice as an object with its members inside": "2.resize_type:node_fails_at_run_time",
  'choice wrapped: {"__value__": …}': "2.resize_type:node_fails_at_run_time",
  "a node without inputs that no output needs": "9:missing_inputs",
};

/** The server's own checks that end in an exception: it names the node, and ours the input at fault. */
const raises = /^(exception_during_validation|exception_during_inner_validation)$/;

const nodeErrorsSchema = z.record(
  z.string(),
  z.object({
    errors: z.array(
      z.object({ type: z.string(), extra_info: z.looseObject({ input_name: z.string().optional() }) }),
    ),
  }),
);

/** `node.input:type` of each error, in the server's words. */
function serverProblems(post: RecordedPost): string[] {
  const nodes = nodeErrorsSchema.catch({}).parse(post.reply["node_errors"]);
  return Object.entries(nodes)
    .flatMap(([id, { errors }]) =>
      errors.map(({ type, extra_info: { input_name: input } }) => `${id}.${input ?? ""}:${type}`),
    )
    .sort();
}

function ourProblems(workflow: unknown, objectInfo: ObjectInfo): string[] {
  return validateGraph(workflow, objectInfo)
    .errors.map(
      ({ nodeId, input, code }) => `${nodeId ?? ""}${input === undefined ? "" : `.${input}`}:${code}`,
    )
    .sort();
}

/** The recorded servers were not all alike. */
function objectInfoOf(post: RecordedPost): ObjectInfo {
  if (post.version === "0.28") return newer;
  if (post.title.startsWith("a server without custom nodes")) return coreOnly;
  // The list was recorded after the upload of ref29.png; before it, the file was not there.
  return post.title.includes("not there yet") ? withoutFiles(everything) : everything;
}

function withoutFiles(objectInfo: ObjectInfo): ObjectInfo {
  const loadImage = objectInfo["LoadImage"];
  if (loadImage === undefined) throw new Error("LoadImage was not recorded");
  return {
    ...objectInfo,
    LoadImage: {
      ...loadImage,
      input: { ...loadImage.input, required: { image: [[], { image_upload: true }] } },
    },
  };
}

const posts = (["0.3.64", "0.28"] as const)
  .flatMap((version) => transcriptNames(version).flatMap((name) => recordedPosts(name, version)))
  .filter(({ title }) => ![...notAboutTheGraph, ...classNotRecorded, ...forTheServerOnly].includes(title));
const titleOf = ({ version, recording, title }: RecordedPost): string => `${version} ${recording}: ${title}`;
const faultsThatRaise = /:(linked_node_missing|linked_slot_missing|missing_inputs)$/;
const isRefused = (post: RecordedPost): boolean => post.status !== 200 || serverProblems(post).length > 0;

describe("every recorded graph", () => {
  test("is there to be judged", () => {
    expect(posts.length).toBeGreaterThan(450);
    expect(posts.filter(isRefused).length).toBeGreaterThan(110);
  });

  test.each(posts.filter(isRefused).map((post) => [titleOf(post), post] as const))(
    "that the server refused is refused: %s",
    (_title, post) => {
      const server = serverProblems(post);
      const ours = ourProblems(post.workflow, objectInfoOf(post));
      expect(ours).not.toEqual([]);
      for (const problem of server) {
        const [place = "", type = ""] = problem.split(":");
        const [nodeId = ""] = place.split(".");
        if (raises.test(type)) {
          // A broken link makes the server's validation itself raise. It then names the right node, and the input of
          // the node *after* it; ours names the broken link.
          expect(ours.some((our) => our.startsWith(nodeId) || faultsThatRaise.test(our))).toBe(true);
        } else if (type === "dependency_cycle") {
          // The server names each node of the ring; ours names the ring once.
          expect(ours.some((our) => our.endsWith(":dependency_cycle"))).toBe(true);
        } else {
          expect(ours).toContain(problem);
        }
      }
      if (server.length > 0 && !server.some((problem) => problem.endsWith(":dependency_cycle")))
        expect(ours.filter((our) => !our.endsWith(":node_fails_at_run_time"))).toHaveLength(server.length);
    },
  );

  test.each(posts.filter((post) => !isRefused(post)).map((post) => [titleOf(post), post] as const))(
    "that the server accepted passes, or has a reason to fail: %s",
    (_title, post) => {
      const reason = refusedByUs[post.ordinal === 1 ? post.title : `${post.title} (${post.ordinal})`];
      expect(ourProblems(post.workflow, objectInfoOf(post))).toEqual(reason === undefined ? [] : [reason]);
    },
  );

  test("that kills a server is refused without any object info", () => {
    const lethal = posts.find(({ title }) => title === 'a node without "inputs" that no output needs');
    expect(validateGraph(lethal?.workflow).errors).toMatchObject([{ code: "missing_inputs", nodeId: "8" }]);
  });
});

describe("the reference graphs", () => {
  test.each([
    "sd15-image",
    "sd15-image-128-batch2",
    "sd15-img2img",
    "sd15-animatediff-gen1-vhs-h264",
    "sd15-animatediff-gen1-core-savevideo",
    "core-createvideo-savevideo-mp4",
    "core-saveanimatedpng",
    "core-saveanimatedwebp",
    "core-savewebm-vp9",
    "vhs-videocombine-h264",
  ])("%s passes", (name) => {
    const options = { uploads: new Set(["ref.png", "init.png", "input.png"]) };
    expect(validateGraph(recordedWorkflow(name), everything, options)).toEqual({ errors: [], warnings: [] });
  });

  test.each([
    ["rejected/missing-checkpoint", "1.ckpt_name:value_not_in_list"],
    ["rejected/seed-animatediffcombine-video", "7.format:value_not_in_list"],
    ["fails-at-run-time/animatediffcombine-h264", "7.format:node_fails_at_run_time"],
    ["fails-at-run-time/core-savevideo-odd-size", "3.video:odd_frame_size"],
  ])("%s is refused for %s", (name, problem) => {
    expect(ourProblems(recordedWorkflow(name), everything)).toContain(problem);
  });
});

describe("silent conversions", () => {
  const conversions: [title: string, place: string][] = [
    ["numeric string for INT: accepted", "2.width"],
    ["float for INT: accepted and truncated", "2.width"],
    ["text null (accepted, runs)", "2.text"],
    ["width 100, not a multiple of 8 (accepted)", "4.width"],
    ["crf 500, outside its declared range: accepted (format widgets are not validated)", "2.crf"],
    ["pix_fmt rgb48, not in its list: accepted; the file got another pixel format", "2.pix_fmt"],
    ["unknown extra input (accepted, ignored)", "5.foo"],
  ];
  test.each(conversions)("are warned of: %s", (title, place) => {
    const post = posts.find((one) => one.title === title);
    const { warnings } = validateGraph(post?.workflow, everything);
    expect(warnings.map(({ nodeId, input }) => `${nodeId ?? ""}.${input ?? ""}`)).toContain(place);
  });
});

describe("what a graph needs", () => {
  const video = workflowSchema.parse(recordedWorkflow("sd15-animatediff-gen1-vhs-h264"));

  test("is its classes and its model files", () => {
    const needs = needsOf(video, everything);
    expect(needs.classTypes).toContain("VHS_VideoCombine");
    expect(needs.models.map(({ name }) => name).sort()).toEqual([
      "counterfeit_v3.safetensors",
      "mm_sd_v15_v2.ckpt",
    ]);
  });

  test("is compared with what a server has", () => {
    expect(missingFrom(needsOf(video), everything)).toEqual({ classTypes: [], models: [] });
    expect(missingFrom(needsOf(video), coreOnly).classTypes).toEqual([
      "ADE_AnimateDiffLoaderGen1",
      "ADE_StandardStaticContextOptions",
      "VHS_VideoCombine",
    ]);
  });
});
