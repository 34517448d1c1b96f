export { launcher, startServiceProcess, type ServiceProcess } from "./service-process.ts";
export { askUntil } from "./ask-until.ts";
export { untilServerIsIdle } from "./server-queue.ts";
export { startTcpProxy, type Passage, type ProxiedConnection, type TcpProxy } from "./tcp-proxy.ts";
export { createTestNetwork, whyNoNetwork, type NetworkMachine, type TestNetwork } from "./test-network.ts";
export { createTestDatabase, testServiceUrl, type TestDatabase } from "./test-database.ts";
export {
  buildFailure,
  buildJob,
  buildLane,
  buildOutput,
  buildProgress,
  buildWorkflow,
} from "./job-builders.ts";
export { describeAttemptEnds } from "./contracts/attempt-ends-contract.ts";
export { type ContractStores, type TestRunner } from "./contracts/contract-stores.ts";
export { describeJobAnnouncer } from "./contracts/job-announcer-contract.ts";
export { describeJobReader } from "./contracts/job-reader-contract.ts";
export { describeJobRequests } from "./contracts/job-requests-contract.ts";
export { describeJobRuns } from "./contracts/job-runs-contract.ts";
export { describeServerStore } from "./contracts/server-store-contract.ts";
export {
  quickSimulator,
  startSimulatorProcess,
  startStack,
  type SimulatorProcess,
  type Stack,
  type StackOptions,
} from "./stack.ts";
export { ApiClient, type JobAnswer, type OutputAnswer, type StreamFrame } from "./api-client.ts";
export { sleepWorkflow } from "./sleep-workflow.ts";
export { type Heard, nameOf, postPrompt, SocketClient } from "./socket-client.ts";
export { findBrowser, openBrowser, type BrowserProgram } from "./browser.ts";
export { cachedFolder } from "./tool-cache.ts";
export { findNode22, findNpmPackages } from "./npm-packages.ts";
export { findPromtool, type Promtool } from "./promtool.ts";
export { findPythonTool, type PythonTool } from "./python-tool.ts";
