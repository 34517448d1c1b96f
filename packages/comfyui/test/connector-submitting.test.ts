import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { type Workflow } from "../src/index.ts";
import { connect, follow, isType, serveEachTest, server, workflow } from "./connector-under-test.ts";
import { answer } from "./scripted-comfyui.ts";

serveEachTest();

describe("refusals", () => {
  test("a refused graph names node, input and what was received", async () => {
    const connector = connect();
    const error = {
      type: "value_not_in_list",
      message: "Value not in list",
      details: "ckpt_name: 'x' not in ['mine.png', \"somebody's] .png\"]",
      extra_info: { input_name: "ckpt_name", received_value: "x" },
    };
    const long = { ...error, details: "ckpt_name: 'x' not in (list of length 21)" };
    const details = "ckpt_name: 'x' is not one of the server's choices";
    server.postReply = () => ({
      status: 400,
      json: {
        error: {
          type: "prompt_outputs_failed_validation",
          message: "Prompt outputs failed validation",
          details: "",
          extra_info: {},
        },
        node_errors: {
          "1": { errors: [error, long], dependent_outputs: ["3"], class_type: "CheckpointLoaderSimple" },
        },
      },
    });
    await expect(connector.submit({ promptId: randomUUID(), workflow })).rejects.toMatchObject({
      code: "prompt_refused",
      errorClass: "invalid",
      retry: "never",
      // Without the list, which may be of files that others have sent.
      message: `Node 1 (CheckpointLoaderSimple): Value not in list: ${details} (and 1 more)`,
      nodeErrors: Array(2).fill({
        nodeId: "1",
        classType: "CheckpointLoaderSimple",
        type: "value_not_in_list",
        message: "Value not in list",
        details,
        input: "ckpt_name",
        received: "x",
      }),
    });
  });

  test("a graph that is accepted in part is refused, and the queued part is withdrawn", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.postReply = (body) => ({
      status: 200,
      json: {
        prompt_id: body["prompt_id"],
        number: 1,
        node_errors: {
          "7": {
            errors: [
              {
                type: "required_input_missing",
                message: "Required input is missing",
                details: "images",
                extra_info: { input_name: "images" },
              },
            ],
            class_type: "SaveImage",
          },
        },
      },
    });
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "prompt_refused",
      nodeErrors: [{ nodeId: "7", input: "images" }],
    });
    await expect(connector.lookup(promptId)).resolves.toEqual({ state: "absent", others: [] });
  });

  test("a graph that would kill the server is not sent", async () => {
    const connector = connect();
    const poison = { ...workflow, "8": { class_type: "ImageScale" } } as unknown as Workflow;
    await expect(connector.submit({ promptId: randomUUID(), workflow: poison })).rejects.toMatchObject({
      code: "graph_malformed",
      nodeId: "8",
    });
    await expect(connector.submit({ promptId: "not-a-uuid", workflow })).rejects.toMatchObject({
      code: "graph_malformed",
    });
    expect(server.count("POST", "/prompt")).toBe(0);
  });

  test.each([
    ["a client id that is a list", { client_id: ["x"] }],
    ["an extra_pnginfo of null", { extra_pnginfo: null }],
    ["an extra_pnginfo that is a text", { extra_pnginfo: "x" }],
    ["an extra_pnginfo whose workflow is null", { extra_pnginfo: { workflow: null } }],
  ])("%s is not sent: it would harm the server for everybody (recording 58)", async (_what, extraData) => {
    const connector = connect();
    await expect(connector.submit({ promptId: randomUUID(), workflow, extraData })).rejects.toMatchObject({
      code: "graph_malformed",
    });
    expect(server.count("POST", "/prompt")).toBe(0);
    const good = { extra_pnginfo: { workflow: { id: 7 } }, create_time: 1 };
    await connector.submit({ promptId: randomUUID(), workflow, extraData: good });
    expect(server.requests.at(-1)?.body).toContain('"extra_data":{"extra_pnginfo"');
  });

  test("each node is sent with a _meta: a server that replaces its class fails without one (recording 42)", async () => {
    const connector = connect();
    const odd: Workflow = { ...workflow, "3": { ...workflow["3"]!, _meta: null } };
    await connector.submit({ promptId: randomUUID(), workflow: odd });
    const { prompt } = JSON.parse(server.requests.at(-1)?.body ?? "") as { prompt: Workflow };
    expect(prompt).toEqual({
      "1": { ...workflow["1"], _meta: { title: "EmptyImage" } },
      "2": workflow["2"],
      "3": { ...workflow["3"], _meta: { title: "SaveImage" } },
    });
  });

  test("a server that is not there had no effect, and says so", async () => {
    await server.kill();
    const connector = connect();
    const promptId = randomUUID();
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "server_unreachable",
      errorClass: "server",
      retry: "later",
    });
    await expect(connector.systemStats()).rejects.toMatchObject({ code: "server_unreachable" });
  });
});

describe("when the outcome of a POST is not known", () => {
  test("a lost reply leads to a look, never to a second POST", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.intercept = ({ path }, response, handle) => {
      if (path !== "/prompt") return false;
      handle();
      response.destroy();
      return true;
    };
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
      retry: "look_first",
    });
    await expect(connector.lookup(promptId)).resolves.toEqual({ state: "waiting", position: 0 });
    const { ended, until } = follow(connector, promptId, { workflow });
    await until(isType("progress"));
    server.begin();
    server.end();
    await expect(ended).resolves.toContainEqual(
      expect.objectContaining({ type: "settled", lookup: expect.objectContaining({ state: "finished" }) }),
    );
    expect(server.count("POST", "/prompt")).toBe(1);
  });

  test("an HTTP 500 for a prompt that was queued is no refusal", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.intercept = ({ path }, response, handle) => {
      if (path !== "/prompt") return false;
      handle();
      answer(response, { status: 500, text: "500 Internal Server Error\n\nServer got itself in trouble" });
      return true;
    };
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
    });
    await expect(connector.lookup(promptId)).resolves.toMatchObject({ state: "waiting" });
    expect(server.count("POST", "/prompt")).toBe(1);
  });

  test("a reply that does not come in time, or is no JSON, is an unknown outcome too", async () => {
    const connector = connect({ postTimeoutMs: 50 });
    server.intercept = ({ path }) => path === "/prompt";
    await expect(connector.submit({ promptId: randomUUID(), workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
      cause: { code: "request_timeout" },
    });
    server.intercept = ({ path }, response) => {
      if (path !== "/prompt") return false;
      answer(response, { status: 200, text: "<html>welcome to our proxy" });
      return true;
    };
    await expect(connector.submit({ promptId: randomUUID(), workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
    });
  });

  test("a caller who gives up in mid-request learns that the outcome is unknown", async () => {
    const connector = connect();
    const stopping = new AbortController();
    server.intercept = ({ path }) => {
      if (path === "/prompt") stopping.abort(new Error("shutting down"));
      return path === "/prompt";
    };
    await expect(
      connector.submit({ promptId: randomUUID(), workflow, signal: stopping.signal }),
    ).rejects.toMatchObject({
      code: "submit_outcome_unknown",
      cause: { message: "shutting down" },
    });
  });
});
