import { type RecordedVersion } from "@genga/comfyui-recordings";
import { describe, expect, test } from "@jest/globals";

import {
  initialProgress,
  markSubmitted,
  parseMessage,
  reduceProgress,
  workflowSchema,
  type Progress,
  type PromptMessage,
  type ProgressState,
  type Workflow,
} from "../src/index.ts";
import { messagesOf, recordedPosts, transcript, transcriptNames } from "./recordings.ts";

interface RecordedRun {
  recording: string;
  title: string;
  workflow: Workflow;
  messages: PromptMessage[];
}

function runsOf(recording: string, version: RecordedVersion): RecordedRun[] {
  return recordedPosts(recording, version).flatMap(({ title, promptId, workflow }) => {
    const messages = messagesOf(recording, promptId, version).flatMap((json) => {
      const message = parseMessage(JSON.stringify(json));
      return message === undefined || message.type === "status" || message.type === "feature_flags"
        ? []
        : [message];
    });
    const parsed = workflowSchema.safeParse(workflow).data;
    return messages.length < 3 || parsed === undefined
      ? []
      : [{ recording, title, workflow: parsed, messages }];
  });
}

function progressAlong({ workflow, messages }: Pick<RecordedRun, "workflow" | "messages">): Progress[] {
  let state: ProgressState = markSubmitted(initialProgress(workflow));
  return [state.progress, ...messages.map((message) => (state = reduceProgress(state, message)).progress)];
}

const versions = ["0.3.64", "0.28"] as const;
const runs = versions.flatMap((version) => transcriptNames(version).flatMap((name) => runsOf(name, version)));
const run = (recording: string, title: string): RecordedRun => {
  const found = runs.find((one) => one.recording === recording && one.title.startsWith(title));
  if (found === undefined) throw new Error(`${recording} has no run "${title}"`);
  return found;
};

describe("every recorded run", () => {
  test("is there to be judged", () => {
    expect(runs.length).toBeGreaterThan(250);
  });

  test.each(runs.map((one) => [`${one.recording}: ${one.title}`, one] as const))(
    "has progress that only goes forward: %s",
    (_title, one) => {
      const along = progressAlong(one);
      const phases = ["waiting", "submitted", "executing", "saving"];
      for (const [index, now] of along.entries()) {
        const before = along[index - 1] ?? now;
        expect(now.percent).toBeGreaterThanOrEqual(before.percent);
        expect(now.percent).toBeLessThanOrEqual(99);
        expect(phases.indexOf(now.phase)).toBeGreaterThanOrEqual(phases.indexOf(before.phase));
        expect(now.nodesDone).toBeGreaterThanOrEqual(before.nodesDone);
        if (now.step !== null) expect(now.step).toBeLessThanOrEqual(now.steps ?? 0);
        if (now.node !== null && now.node in one.workflow) expect(now.nodeTitle).not.toBeNull();
      }
      const last = along.at(-1);
      const lastMessage = one.messages.at(-1);
      const isComplete = lastMessage?.type === "executing" && lastMessage.data.node === null;
      const succeeded = one.messages.some(({ type }) => type === "execution_success");
      if (isComplete) expect(last?.phase).toBe("saving");
      if (succeeded) {
        expect(last?.nodesDone).toBe(Object.keys(one.workflow).length);
        expect(last?.percent).toBe(99);
      }
    },
  );

  test.each(runs.map((one) => [`${one.recording}: ${one.title}`, one] as const))(
    "ends alike when every other message is lost: %s",
    (_title, one) => {
      const kept = one.messages.filter(
        (message, index) =>
          index % 2 === 0 || index >= one.messages.length - 3 || message.type === "execution_start",
      );
      const [whole, lossy] = [progressAlong(one).at(-1), progressAlong({ ...one, messages: kept }).at(-1)];
      expect(lossy?.phase).toBe(whole?.phase);
      if (one.messages.some(({ type }) => type === "execution_success")) expect(lossy).toEqual(whole);
    },
  );
});

describe("what a person sees", () => {
  test("a cold image: nothing while the checkpoint loads, then the sampler's steps carry the bar", () => {
    const along = progressAlong(run("20-sd15-image", "first prompt"));
    const loading = along.filter(({ nodeTitle }) => nodeTitle === "CheckpointLoaderSimple");
    // A share of a run with only four steps; of the usual twenty it is a ninth.
    expect(Math.max(...loading.map(({ percent }) => percent))).toBeLessThan(30);
    const sampling = along.filter(({ nodeTitle, step }) => nodeTitle === "KSampler" && step !== null);
    expect(new Set(sampling.map(({ step, steps }) => `${step ?? 0}/${steps ?? 0}`))).toEqual(
      new Set(["1/4", "2/4", "3/4", "4/4"]),
    );
  });

  test("a cached checkpoint does not count: the sampler starts near zero", () => {
    const along = progressAlong(run("21-sd15-image-cached-model", "same graph, other seed"));
    const entered = along.find(({ nodeTitle }) => nodeTitle === "KSampler");
    expect(entered?.nodesDone).toBe(4);
    expect(entered?.percent).toBeLessThan(5);
  });

  test("a wholly cached run is done at once", () => {
    const along = progressAlong(run("21-sd15-image-cached-model", "identical graph again"));
    expect(along.at(-1)).toMatchObject({ phase: "saving", percent: 99, nodesDone: 7, nodesTotal: 7 });
  });

  test("two samplers share the bar by their steps", () => {
    const { workflow, messages } = run("29-image-variants", "clip skip");
    const samplers = Object.entries(workflow).filter(([, node]) => node.class_type === "KSampler");
    expect(samplers).toHaveLength(2);
    const along = progressAlong({ workflow, messages });
    const reached = samplers.map(([id]) =>
      Math.max(...along.filter(({ node }) => node === id).map(({ percent }) => percent)),
    );
    const [first = 0, second = 0] = reached.sort((one, other) => one - other);
    expect(first).toBeGreaterThan(25);
    expect(first).toBeLessThan(75);
    expect(second).toBeGreaterThan(first);
  });

  test("a video's combine step has steps of its own, after the sampler's", () => {
    const along = progressAlong(run("22-animatediff-video", "Gen1: "));
    const combining = along.filter(
      ({ nodeTitle, step }) => nodeTitle === "VHS_VideoCombine" && step !== null,
    );
    expect(combining.at(-1)).toMatchObject({ steps: 8 });
    const sampled = along.findLast(({ nodeTitle }) => nodeTitle === "KSampler");
    expect(combining[0]?.percent).toBeGreaterThanOrEqual(sampled?.percent ?? 100);
  });

  test("nodes that run side by side are all named, and the one that began last is shown until it ends", () => {
    const along = progressAlong(run("57-lists-lazy-async", "three async nodes side by side"));
    const seen = along.map(({ node, nodeTitle }) => `${node ?? ""}: ${nodeTitle ?? ""}`);
    expect(seen.filter((line, index) => line !== seen[index - 1])).toEqual([
      ...[": ", "2: ProtoAsync", "1: ProtoAsync", "3: ProtoAsync", "1: ProtoAsync"],
      ...["5: ProtoAsync, PreviewAny", "1: ProtoAsync", "4: ProtoJoin", ": "],
    ]);
  });

  test("steps are those of the node that is shown, and never of another that runs beside it", () => {
    const one = run("57-lists-lazy-async", "two async nodes with progress");
    const along = progressAlong(one);
    const shown = along.flatMap(({ node, step, steps }) =>
      step === null ? [] : [`${node ?? ""}: ${step}/${steps ?? 0}`],
    );
    expect([...new Set(shown)]).toEqual(["1: 1/2", "1: 2/2", "2: 1/2", "2: 2/2"]);
  });

  test("a node that waits for an input it asked for late is named beside the one that makes it", () => {
    const along = progressAlong(run("57-lists-lazy-async", "lazy: only the side"));
    const titles = along.map(({ node, nodeTitle }) => `${node ?? ""}: ${nodeTitle ?? ""}`);
    expect(titles).toContain("1: ProtoLazy, ProtoAsync");
    expect(along.at(-1)).toMatchObject({ phase: "saving", percent: 99 });
  });

  test("a node that is made of others at run time is shown, and done only when it says so (PROTOCOL-0.28 3)", () => {
    const workflow: Workflow = {
      "1": { class_type: "EmptyImage", inputs: {} },
      "2": { class_type: "Loop", inputs: { image: ["1", 0] } },
      "3": { class_type: "SaveImage", inputs: { images: ["2", 0] } },
    };
    const node = (id: string, value: number, max: number, state = "running"): object => ({
      [id]: { value, max, state, display_node_id: id.split(".")[0] },
    });
    const said = (type: string, data: object): PromptMessage =>
      parseMessage(JSON.stringify({ type, data: { prompt_id: "p", ...data } })) as PromptMessage;
    const messages = [
      said("progress_state", { nodes: { ...node("1", 1, 1, "finished"), ...node("2", 0, 1) } }),
      said("executing", { node: "2", display_node: "2" }),
      said("progress_state", { nodes: { ...node("2", 0, 1), ...node("2.0.0.1", 4, 4) } }),
      said("executing", { node: "2.0.0.1", display_node: "2" }),
      said("progress", { node: "2.0.0.1", value: 4, max: 4 }),
      said("executed", { node: "2.0.0.2", display_node: "2", output: {} }),
      said("progress_state", {
        nodes: { ...node("2", 1, 1, "finished"), ...node("2.0.0.1", 4, 4, "finished") },
      }),
    ];
    const along = progressAlong({ workflow, messages });
    expect(along.slice(2, -1)).toEqual(along.slice(2, -1).map(() => expect.objectContaining({ node: "2" })));
    expect(along.map(({ nodesDone }) => nodesDone)).toEqual([0, 1, 1, 1, 1, 1, 1, 2]);
    const percents = along.map(({ percent }) => percent);
    expect(percents).toEqual([...percents].sort((one, other) => one - other));
    expect(along[3]).toMatchObject({ step: 4, steps: 4, nodeTitle: "Loop" });
  });

  test("a failure stays where it happened", () => {
    const failed = runs.find(
      ({ recording, messages }) =>
        recording === "05-execution-error" && messages.some(({ type }) => type === "execution_error"),
    );
    if (failed === undefined) throw new Error("no failed run was recorded");
    const atFailure = progressAlong({
      ...failed,
      messages: failed.messages.filter(({ type, data }) => !(type === "executing" && data.node === null)),
    }).at(-1);
    expect(atFailure).toMatchObject({ node: "2", nodeTitle: "ProtoFail", phase: "executing" });
    expect(atFailure?.percent).toBeLessThan(99);
  });
});

describe("every recorded message", () => {
  const text = versions.flatMap((version) =>
    transcriptNames(version).flatMap((name) =>
      transcript(name, version).flatMap(({ kind, msg }) =>
        kind === "ws_recv" && typeof msg === "object" && msg !== null && "type" in msg ? [msg] : [],
      ),
    ),
  );

  test("is understood, but for those of custom node packs and of the assets that nobody here uses", () => {
    const unknown = text.filter((msg) => parseMessage(JSON.stringify(msg)) === undefined);
    expect(text.length).toBeGreaterThan(4_000);
    const kinds = new Set(
      unknown.map(({ type }) => String(type).replace(/^assets\.seed\..*/, "assets.seed")),
    );
    expect(kinds).toEqual(new Set(["VHS_latentpreview", "assets.seed"]));
  });
});
