import { expect, test } from "@jest/globals";
import { type DoorMessage, type DoorMessageListener, type DoorPrompt, type JobSignal } from "@genga/jobs";
import { type ClientSocket } from "./client-socket.ts";
import { TenantDoor, type TenantDoorParts } from "./tenant-door.ts";

test("a prompt that is run again at once is told live, also if its messages come while its end is being read", async () => {
  const [jobId, clientId, keyName] = ["job", "client", "key"];
  const said = { jobId, clientId, keyName, promptId: "prompt", socketNodes: [] };
  const prompt = { ...said, status: "processing", attempt: 1 } as unknown as DoorPrompt;
  const heard: string[] = [];
  let onHeard = (): void => undefined;
  const untilHeard = (...messages: string[]): Promise<void> =>
    new Promise((resolve) => {
      onHeard = () => {
        if (messages.some((message) => heard.includes(message))) resolve();
      };
      onHeard();
    });
  const take = (message: string): void => {
    heard.push(message);
    onHeard();
  };
  let listener: DoorMessageListener | undefined;
  let onSignal: ((signal: JobSignal) => void) | undefined;
  const say = (attempt: number, ...messages: string[]): void => {
    for (const message of messages) {
      const [type, node] = message.split(" ") as [string, string | undefined];
      const about = { jobId, attempt, serverPromptId: `run ${attempt}` };
      const text: DoorMessage = {
        ...{ ...about, kind: "text", type, json: JSON.stringify({ type }) },
        ...(node !== undefined && { node }),
      };
      listener?.onMessage(type === "ended" ? { ...about, kind: "ended" } : text);
    }
  };
  let reads = 0;
  const parts: TenantDoorParts = {
    prompts: { findByJobs: () => Promise.resolve([{ ...prompt, isEndTold: false }]) },
    clients: {
      countOpen: () => Promise.resolve({ active: 1, untold: [] }),
      findRunning: () => Promise.resolve([]),
      listUntold: () => Promise.resolve([]),
      forgetEnds: () => Promise.resolve(),
    },
    messages: {
      listen: (_tenantId, given) => {
        listener = given;
        return { live: Promise.resolve(), end: () => undefined };
      },
      note: () => undefined,
    },
    feed: {
      hear: (_tenantId, hearer) => {
        onSignal = hearer.onSignal;
        return () => undefined;
      },
    },
    shownError: (message: string) => Promise.resolve(message),
    endTeller: {
      read: () => {
        reads += 1;
        // The job has been retried, so that it has no end.
        if (reads === 1) say(2, "execution_start", "executing 1");
        else take("nothing of the retry");
        return Promise.resolve(new Map());
      },
      tell: () => Promise.reject(new Error("There is no end.")),
    },
    log: { warn: () => undefined, error: () => undefined },
  };
  const door = new TenantDoor("tenant", parts);
  const socket = {
    ...{ id: "socket", openedAt: Date.now(), clientId, keyName, isOpen: true },
    greet: () => {
      take("greeting");
    },
    text: (type: string) => {
      take(type);
    },
    executing: (_promptId: string, node: string | null) => {
      take(`executing ${node}`);
    },
  };
  try {
    door.add(socket as unknown as ClientSocket);
    await untilHeard("greeting");
    say(1, "execution_start", "executing 7", "ended");
    await untilHeard("executing 7");
    const event = { attempt: 1 };
    onSignal?.({ kind: "event", jobId, status: "failed", event } as unknown as JobSignal);
    await untilHeard("executing 1", "nothing of the retry");
    expect(heard.at(-1)).toBe("executing 1");
  } finally {
    await door.close();
  }
});

test("a client that cannot be greeted is closed, and those after it are greeted", async () => {
  const heard: string[] = [];
  let onHeard = (): void => undefined;
  const parts = {
    prompts: { findByJobs: () => Promise.resolve([]) },
    clients: {
      countOpen: () => Promise.resolve({ active: 0, untold: [] }),
      findRunning: (_tenantId: string, clientId: string) =>
        clientId === "odd" ? Promise.reject(new Error("no such text")) : Promise.resolve([]),
      listUntold: () => Promise.resolve([]),
      forgetEnds: () => Promise.resolve(),
    },
    messages: {
      listen: () => ({ live: Promise.resolve(), end: () => undefined }),
      note: () => undefined,
    },
    feed: { hear: () => () => undefined },
    shownError: (message: string) => Promise.resolve(message),
    endTeller: { read: () => Promise.resolve(new Map()), tell: () => Promise.resolve() },
    log: { warn: () => undefined, error: () => undefined },
  };
  const door = new TenantDoor("tenant", parts);
  const socketOf = (clientId: string): ClientSocket => {
    const take = (what: string): void => {
      heard.push(`${clientId} ${what}`);
      onHeard();
    };
    return {
      ...{ id: clientId, openedAt: 0, clientId, keyName: "key", isOpen: true },
      greet: () => {
        take("greeted");
      },
      close: (code: number) => {
        take(`closed ${code}`);
      },
    } as unknown as ClientSocket;
  };
  try {
    const both = new Promise<void>((resolve) => {
      onHeard = () => {
        if (heard.includes("plain greeted")) resolve();
      };
    });
    door.add(socketOf("odd"));
    door.add(socketOf("plain"));
    await both;
    expect(heard).toEqual(["odd closed 1011", "plain greeted"]);
  } finally {
    await door.close();
  }
});
