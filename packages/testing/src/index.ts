export { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
export { createTestDatabase, testServiceUrl, type TestDatabase } from "./test-database.ts";
