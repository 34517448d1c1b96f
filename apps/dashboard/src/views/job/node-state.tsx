import { IconCircle, IconCircleCheck, IconCircleX, IconLoader } from "@tabler/icons-react";
import { type ReactNode } from "react";
import { type NodeState } from "./graph-layout.ts";

/** Told by a shape and a word as well as by a colour. */
export const stateColours: Readonly<Record<NodeState, string>> = {
  waiting: "var(--mantine-color-dimmed)",
  running: "var(--mantine-color-blue-text)",
  done: "var(--mantine-color-teal-text)",
  failed: "var(--mantine-color-red-text)",
};

const icons = { waiting: IconCircle, running: IconLoader, done: IconCircleCheck, failed: IconCircleX };

export function StateIcon({ state }: { state: NodeState }): ReactNode {
  const Icon = icons[state];
  return <Icon size={16} color={stateColours[state]} aria-hidden style={{ flex: "none" }} />;
}
