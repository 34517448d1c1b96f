import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A machine of its own, as far as the network is concerned: a network namespace with one address. */
export interface NetworkMachine {
  readonly address: string;
  /** Put before a command, it runs the command on this machine. */
  readonly within: readonly string[];
  /** From now on every packet from and to it vanishes: nobody is told, and connections stay half-open. */
  cutOff(): Promise<void>;
  bringBack(): Promise<void>;
}

export interface TestNetwork {
  /** The address at which the machines reach this process. */
  readonly address: string;
  readonly machines: readonly NetworkMachine[];
  /** Removes everything. Call it when no program runs on the machines any more. */
  remove(): Promise<void>;
}

/** Why no such network can be made here; `null` = it can. */
export async function whyNoNetwork(): Promise<string | null> {
  if (process.platform !== "linux") return "network namespaces are a part of Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  try {
    const network = await createTestNetwork(1);
    await network.remove();
    return null;
  } catch (error) {
    const why = error instanceof Error ? (error.message.trim().split("\n").at(-1) ?? "") : String(error);
    return `no network namespace can be made: ${why}`;
  }
}

/** Machines that are joined by a bridge, on which this process has an address, too. Linux, and root, only. */
export async function createTestNetwork(machineCount: number): Promise<TestNetwork> {
  await removeLeftNetworks();
  const [one = 0, two = 0, three = 0] = randomBytes(3);
  // Names of interfaces have 15 characters at most. The process id tells whether the network is still in use.
  const name = `gt${process.pid.toString(36)}x${three.toString(36)}`;
  const subnet = `10.${one}.${two}`;
  const bridge = `${name}b`;
  const address = `${subnet}.1`;
  const network = { address, machines: [] as NetworkMachine[], remove: () => removeNetwork(name) };
  try {
    await ip("link", "add", bridge, "address", macOf(1), "type", "bridge", "forward_delay", "0");
    await ip("addr", "add", `${address}/24`, "dev", bridge);
    await ip("link", "set", bridge, "up");
    for (let index = 0; index < machineCount; index += 1)
      network.machines.push(await addMachine({ name, bridge, subnet, hostAddress: address, index }));
    return network;
  } catch (error) {
    await network.remove();
    throw error;
  }
}

interface Place {
  name: string;
  bridge: string;
  subnet: string;
  hostAddress: string;
  index: number;
}

async function addMachine({ name, bridge, subnet, hostAddress, index }: Place): Promise<NetworkMachine> {
  const namespace = `${name}-${index}`;
  const outer = `${name}o${index}`;
  const inner = `${name}i${index}`;
  const number = index + 2;
  const address = `${subnet}.${number}`;
  const inside = (...args: string[]): Promise<void> => ip("-n", namespace, ...args);
  await ip("netns", "add", namespace);
  await ip("link", "add", outer, "type", "veth", "peer", "name", inner, "address", macOf(number));
  await ip("link", "set", inner, "netns", namespace);
  await inside("link", "set", "lo", "up");
  await inside("addr", "add", `${address}/24`, "dev", inner);
  await inside("link", "set", inner, "up");
  await ip("link", "set", outer, "up", "master", bridge);
  // Everybody's hardware address is known for good: otherwise "no route to host" would soon tell that a machine is away.
  await ip("neigh", "replace", address, "lladdr", macOf(number), "dev", bridge, "nud", "permanent");
  await inside("neigh", "replace", hostAddress, "lladdr", macOf(1), "dev", inner, "nud", "permanent");
  for (let other = 2; other < 10; other += 1) {
    if (other === number) continue;
    const neighbour = ["neigh", "replace", `${subnet}.${other}`, "lladdr", macOf(other), "dev", inner];
    await inside(...neighbour, "nud", "permanent");
  }
  return {
    address,
    within: ["ip", "netns", "exec", namespace],
    cutOff: () => ip("link", "set", outer, "nomaster"),
    bringBack: () => ip("link", "set", outer, "master", bridge),
  };
}

function macOf(number: number): string {
  return `02:00:00:00:00:${number.toString(16).padStart(2, "0")}`;
}

async function removeNetwork(name: string): Promise<void> {
  // The interfaces go with their namespaces, and those of the bridge with it.
  for (const namespace of await namespaces()) {
    if (namespace.startsWith(`${name}-`)) await ip("netns", "del", namespace);
  }
  await ip("link", "del", `${name}b`).catch(() => undefined);
}

/** Removes the networks of processes that were killed. */
async function removeLeftNetworks(): Promise<void> {
  const { stdout } = await run("ip", ["-o", "link", "show", "type", "bridge"]);
  const names = [...stdout.matchAll(/^\d+: (gt([0-9a-z]+)x[0-9a-z]+)b:/gm)];
  for (const [, name = "", pid = ""] of names) {
    if (!isAlive(Number.parseInt(pid, 36))) await removeNetwork(name);
  }
}

async function namespaces(): Promise<string[]> {
  const { stdout } = await run("ip", ["netns", "list"]);
  return stdout.split("\n").flatMap((line) => line.split(" ")[0] ?? []);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function ip(...args: string[]): Promise<void> {
  await run("ip", args);
}
