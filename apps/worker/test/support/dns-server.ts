import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIP } from "node:net";

/** A DNS server on loopback that knows one set of addresses, for whatever name it is asked. */
export interface DnsServer {
  /** As a resolver takes it: `127.0.0.1:5353`. */
  readonly address: string;
  /** IPv4 and IPv6 addresses. */
  addresses: readonly string[];
  /** 0: it answers; 2 (SERVFAIL): it fails; 3 (NXDOMAIN): there is no such name. `silent`: it does not answer at all. */
  behaviour: 0 | 2 | 3 | "silent";
  /** Resolves when it has been asked for IPv4 addresses so many more times. */
  asked(times: number): Promise<void>;
  close(): void;
}

const typeA = 1;
const typeAaaa = 28;

export async function startDnsServer(addresses: readonly string[] = []): Promise<DnsServer> {
  const socket = createSocket("udp4");
  let onAsked: () => void = () => undefined;
  const server: DnsServer = {
    ...{ address: "", addresses, behaviour: 0 },
    asked: async (times) => {
      for (let left = times; left > 0; left -= 1) {
        await new Promise<void>((resolve) => {
          onAsked = resolve;
        });
      }
    },
    close: () => socket.close(),
  };
  socket.on("message", (query, { address, port }) => {
    const type = typeOf(query);
    if (server.behaviour !== "silent") socket.send(answerTo(query, type, server), port, address);
    if (type === typeA) onAsked();
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return Object.assign(server, { address: `127.0.0.1:${socket.address().port}` });
}

const headerBytes = 12;

/** Where the question of a query ends: after its name, type and class. */
function endOfQuestion(query: Buffer): number {
  let at = headerBytes;
  while (query[at] !== 0) at += query[at]! + 1;
  return at + 5;
}

function typeOf(query: Buffer): number {
  return query.readUInt16BE(endOfQuestion(query) - 4);
}

/** RFC 1035, section 4: the question again, and an answer for each address. */
function answerTo(query: Buffer, type: number, { addresses, behaviour }: DnsServer): Buffer {
  const family = type === typeA ? 4 : type === typeAaaa ? 6 : 0;
  const answers = behaviour === 0 ? addresses.filter((address) => isIP(address) === family) : [];
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  // It is a response, recursion was desired and is available, and the code.
  header.writeUInt16BE(0x8180 | Number(behaviour), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  const records = answers.map((address) => {
    const data = bytesOf(address);
    const record = Buffer.alloc(12);
    // The name is the one at the start of the question.
    record.writeUInt16BE(0xc000 | headerBytes, 0);
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(1, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, data]);
  });
  return Buffer.concat([header, query.subarray(headerBytes, endOfQuestion(query)), ...records]);
}

function bytesOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before = "", after = ""] = address.split("::", 2);
  const [first, last] = [groups(before), groups(after)];
  const zeros = Array<string>(8 - first.length - last.length).fill("0");
  return Buffer.from([...first, ...zeros, ...last].map((group) => group.padStart(4, "0")).join(""), "hex");
}
