import { expect, test } from "@jest/globals";
import { countSick, countStates, inOrder, type Server } from "./server-states.ts";

const server = (name: string, state: Server["state"]) => ({ name, state }) as Server;

test("servers in trouble come first, others by their names", () => {
  const servers = [
    server("s10", "online"),
    server("s2", "online"),
    server("s3", "retired"),
    server("s4", "wedged"),
  ];
  expect(inOrder(servers).map(({ name }) => name)).toEqual(["s4", "s2", "s10", "s3"]);
  expect(countStates(servers)).toEqual([
    { state: "wedged", count: 1 },
    { state: "online", count: 2 },
    { state: "retired", count: 1 },
  ]);
  expect(countSick([...servers, server("s5", "unreachable")])).toBe(2);
});
