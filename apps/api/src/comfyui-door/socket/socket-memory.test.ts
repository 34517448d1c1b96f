import { expect, test } from "@jest/globals";
import { droppingBytes, SocketMemory, waitingBytesMax } from "./socket-memory.ts";

function aSocket(memory: SocketMemory) {
  const socket = {
    waitingBytes: 0,
    isCut: false,
    terminate: () => {
      socket.isCut = true;
    },
    /** The socket is given so much, of which its client takes nothing. */
    send: (bytes: number) => {
      socket.waitingBytes += bytes;
      memory.noteSent(bytes);
    },
  };
  memory.add(socket);
  return socket;
}

test("what waits for all clients together is bounded: the slowest are cut off, the others are not", () => {
  const memory = new SocketMemory();
  const [quick, slow, slower] = [aSocket(memory), aSocket(memory), aSocket(memory)];
  const mega = 1024 * 1024;
  for (let sent = 0; sent < 10 * waitingBytesMax; sent += mega) {
    memory.noteSent(mega);
    expect(quick.waitingBytes).toBe(0);
  }
  expect(memory.isScarce).toBe(false);
  slow.send(droppingBytes / 2);
  slower.send(droppingBytes / 2 + mega);
  expect(memory.isScarce).toBe(true);
  slower.send(waitingBytesMax / 2);
  expect([quick, slow, slower].map(({ isCut }) => isCut)).toEqual([false, false, true]);
  expect(memory.isScarce).toBe(false);
  slow.send(mega);
  expect(slow.isCut).toBe(false);
});
