export { startServiceProcess, type ServiceProcess } from "./service-process.ts";
export { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
export { createTestDatabase, testServiceUrl, type TestDatabase } from "./test-database.ts";
